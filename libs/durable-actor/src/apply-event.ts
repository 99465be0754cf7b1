import { CoppiceError, toWireError } from '@coppice/contracts';
import type { WireError } from '@coppice/contracts';
import { createActor, initialTransition, transition } from 'xstate';
import type { AnyMachineSnapshot, AnyStateMachine, EventObject, Snapshot } from 'xstate';
import type { ActorDefinition } from './definition.ts';
import { TransitionFailed, Unrestorable } from './errors.ts';
import { cancelEffect, mapActions, pushResult } from './map-actions.ts';
import type { Draft, OrderedAction } from './map-actions.ts';
import { faultOfAddress, stateText } from './value.ts';
import type { ActorValue, Answer, Deferred, PersistedMachine } from './value.ts';

/**
 * Runs a machine on a draft of an actor's value. Pure.
 *
 * Invariant 2: only XState's pure functions are used. A restored actor is never started.
 * Invariant 5: the current time is passed in as the event's field `now`.
 * Invariant 7: an event that a state doesn't handle is rejected or deferred, never dropped.
 */

/** A draft with its machine's snapshot. The host sends `answers` after it has stored the value. */
export type Work = {
  definition: ActorDefinition;
  draft: Draft;
  /** Null only until the initial state is computed. */
  snapshot: AnyMachineSnapshot;
  nowMs: number;
  answers: Answer[];
};

export function begin(
  definition: ActorDefinition,
  id: string,
  input: unknown,
  incarnation: string,
  nowMs: number,
): Work {
  const { kind, version, hash, machine } = definition;
  const fault = faultOfAddress({ kind, id });
  if (fault !== null) throw new TransitionFailed(fault);
  const draft: Draft = {
    format: 1,
    kind,
    id,
    machine: { version, hash },
    incarnation,
    counter: 0,
    sequence: 0,
    status: 'active',
    snapshot: null,
    state: null,
    outbox: [],
    inFlight: {},
    recentMessages: [],
    deferred: [],
    cause: 0,
    traceparent: null,
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
  };
  const work: Work = { definition, draft, snapshot: null as unknown as AnyMachineSnapshot, nowMs, answers: [] };
  compute(work, () => initialTransition(machine, { kind, id, now: nowMs, input }));
  return work;
}

/** @throws Unrestorable if this machine can't continue from the stored value */
export function resume(definition: ActorDefinition, stored: ActorValue, nowMs: number): Work {
  const draft = structuredClone(stored);
  draft.outbox = [];
  delete draft.unstash;
  // An actor's time must never go back, although the clocks of two hosts may differ.
  const now = Math.max(nowMs, stored.updatedAtMs);
  draft.updatedAtMs = now;
  migrate(definition, draft);
  return { definition, draft, snapshot: restore(definition, draft), nowMs: now, answers: [] };
}

function migrate(definition: ActorDefinition, draft: Draft): void {
  while (draft.machine.version < definition.version && draft.snapshot !== null) {
    const migration = definition.migrations[draft.machine.version];
    if (migration === undefined) break;
    try {
      draft.snapshot = migration(draft.snapshot);
    } catch (error) {
      throw new Unrestorable(
        'machine-changed',
        `the migration from version ${draft.machine.version} failed: ${textOf(error)}`,
        error,
      );
    }
    draft.machine = { version: draft.machine.version + 1, hash: definition.hash };
  }
  const { version, hash } = draft.machine;
  if (version !== definition.version || hash !== definition.hash) {
    const stored = `stored by version ${version} (${hash})`;
    throw new Unrestorable('machine-changed', `${stored}, this is version ${definition.version} (${definition.hash})`);
  }
}

function restore(definition: ActorDefinition, draft: Draft): AnyMachineSnapshot {
  const children: Record<string, unknown> = {};
  for (const effect of Object.values(draft.inFlight)) {
    if (effect.type !== 'timer') {
      children[effect.childId] = { snapshot: { status: 'active' }, src: effect.source, syncSnapshot: false };
    }
  }
  try {
    const snapshot = { ...draft.snapshot, children } as unknown as Snapshot<unknown>;
    const restored = createActor(definition.machine, { snapshot }).getSnapshot() as AnyMachineSnapshot;
    if (restored.status !== 'active') throw new Error(`its status is ${restored.status}`);
    return restored;
  } catch (error) {
    throw new Unrestorable('restore-failed', `the snapshot can't be restored: ${textOf(error)}`, error);
  }
}

/**
 * Applies an event, then the deferred events that the new state handles.
 * Before an event from outside, the caller must check that the state handles it. Results and timers need no check.
 */
export function applyEvent(work: Work, event: EventObject): void {
  step(work, event);
  replayDeferred(work);
}

function step(work: Work, event: EventObject): void {
  const { machine } = work.definition;
  compute(work, () => transition(machine, work.snapshot, { ...event, now: work.nowMs }));
}

function compute(work: Work, run: () => readonly [unknown, readonly unknown[]]): void {
  const { definition, draft } = work;
  try {
    const [snapshot, actions] = run() as [AnyMachineSnapshot, OrderedAction[]];
    if (snapshot.status === 'error') throw new Error(`the machine ended with an error: ${textOf(snapshot.error)}`);
    mapActions(definition, draft, actions, work.nowMs);
    requireMappedChildren(work, snapshot);
    work.snapshot = snapshot;
    draft.state = snapshot.value;
    draft.snapshot = persisted(definition, snapshot);
    if (snapshot.status === 'done') finish(work);
  } catch (error) {
    if (error instanceof TransitionFailed) throw error;
    throw new TransitionFailed(`${definition.kind} ${draft.id}: ${textOf(error)}`, { cause: error });
  }
}

/**
 * Throws if an `assign` spawned a child. XState returns no action for such a child, so the stored value wouldn't
 * contain it.
 */
function requireMappedChildren({ definition, draft, snapshot: before }: Work, { children }: AnyMachineSnapshot): void {
  const known = new Set(Object.keys(before?.children ?? {}));
  for (const effect of Object.values(draft.inFlight)) if (effect.type !== 'timer') known.add(effect.childId);
  for (const childId of Object.keys(children)) {
    if (!known.has(childId))
      throw new TransitionFailed(`${definition.kind} starts ${childId}, which is not an invoke of a mapped source`);
  }
}

/** Returns the snapshot to store, without children. They are restored from `inFlight`. */
function persisted(definition: ActorDefinition, snapshot: AnyMachineSnapshot): PersistedMachine {
  const { status, value, context, historyValue } = definition.machine.getPersistedSnapshot(
    snapshot,
  ) as unknown as PersistedMachine;
  return { status, value, context, historyValue };
}

/** Reduces a finished actor to its tombstone. */
function finish(work: Work): void {
  const { definition, draft, snapshot } = work;
  for (const [effectId, effect] of Object.entries(draft.inFlight)) cancelEffect(draft, effectId, effect);
  delete draft.steps;
  draft.status = 'done';
  draft.snapshot = null;
  draft.output = snapshot.output;
  draft.summary = definition.summary?.(snapshot);
  for (const deferred of draft.deferred.splice(0)) {
    refuseLater(work, deferred, endedError(definition, draft, deferred.event));
  }
}

export function endedError(definition: ActorDefinition, value: ActorValue, event: EventObject): WireError {
  const state = stateText(value.state);
  const policy = Object.hasOwn(definition.events, event.type) ? definition.events[event.type] : undefined;
  const text = policy?.refusal?.(state) ?? `${value.kind} ${value.id} has ended as ${state}`;
  return conflict(definition, text, state, value.summary);
}

function conflict(definition: ActorDefinition, text: string, state: string, summary: unknown): WireError {
  // A tombstone of an earlier version may have no summary.
  const reported = summary === undefined ? state : (definition.reportedState?.(summary) ?? state);
  return toWireError(new CoppiceError('conflict', text, { details: { state: reported } }));
}

export type Disposition = { type: 'handle' } | { type: 'defer' } | { type: 'refuse'; error: WireError };

/**
 * Decides whether the current state handles, defers or rejects an event from outside.
 * A state whose guards all reject the event doesn't handle it.
 */
export function dispositionOf(work: Pick<Work, 'definition' | 'snapshot' | 'nowMs'>, event: EventObject): Disposition {
  const { definition, snapshot, nowMs } = work;
  const policy = Object.hasOwn(definition.events, event.type) ? definition.events[event.type] : undefined;
  if (policy === undefined) {
    return {
      type: 'refuse',
      error: toWireError(new CoppiceError('invalid-request', `${definition.kind} knows no event ${event.type}`)),
    };
  }
  if (transitionsFor(definition, snapshot, { ...event, now: nowMs } as EventObject) > 0) return { type: 'handle' };
  const state = stateText(snapshot.value);
  const own = ownPolicy(snapshot, event.type);
  if (own === 'defer' || (own === undefined && policy.otherwise === 'defer')) return { type: 'defer' };
  const text =
    typeof own === 'object'
      ? own.refuse
      : (policy.refusal?.(state) ?? `${event.type} is not possible while ${definition.kind} is ${state}`);
  return { type: 'refuse', error: conflict(definition, text, state, definition.summary?.(snapshot)) };
}

function transitionsFor(definition: ActorDefinition, snapshot: AnyMachineSnapshot, event: EventObject): number {
  try {
    return definition.machine.getTransitionData(snapshot, event).length;
  } catch (error) {
    throw new TransitionFailed(`${definition.kind}: a guard failed on ${event.type}: ${textOf(error)}`, {
      cause: error,
    });
  }
}

type StateMeta = { events?: Record<string, 'refuse' | 'defer' | { refuse: string }> };

function ownPolicy(snapshot: AnyMachineSnapshot, type: string): 'refuse' | 'defer' | { refuse: string } | undefined {
  const { machine } = snapshot as { machine: AnyStateMachine };
  const policies = Object.entries(snapshot.getMeta() as Record<string, StateMeta>).flatMap(([stateId, { events }]) => {
    const policy = events?.[type];
    return policy === undefined ? [] : [{ policy, depth: machine.getStateNodeById(stateId).path.length }];
  });
  // The policy of the innermost state applies.
  return policies.toSorted((left, right) => right.depth - left.depth)[0]?.policy;
}

/**
 * Replays the deferred events in order. After each handled event the replay starts again, since the new state may
 * handle events that the old state deferred. The replay ends, since each handled or rejected event is removed from the
 * list.
 */
function replayDeferred(work: Work): void {
  const { draft } = work;
  let index = 0;
  while (draft.status === 'active' && index < draft.deferred.length) {
    const deferred = draft.deferred[index] as Deferred;
    const disposition = dispositionOf(work, deferred.event);
    if (disposition.type === 'defer') {
      index += 1;
      continue;
    }
    draft.deferred.splice(index, 1);
    if (disposition.type === 'handle') {
      step(work, deferred.event);
      index = 0;
    } else refuseLater(work, deferred, disposition.error);
  }
}

/**
 * Notifies the sender that its deferred event is rejected. An actor gets a stored message. A client gets an answer only
 * if it still listens.
 */
function refuseLater(work: Work, deferred: Deferred, error: WireError): void {
  if (deferred.request !== null) pushResult(work.draft, deferred.request, { status: 'failed', error });
  if (deferred.answerTo !== null)
    work.answers.push({ answerTo: deferred.answerTo, outcome: { status: 'failed', error } });
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : JSON.stringify(error));
