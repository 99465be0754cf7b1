import { subjects } from '@coppice/contracts';
import type { ActorMessage, ReplyTo } from '@coppice/contracts';
import type { EventObject } from 'xstate';
import type { ActorDefinition } from './definition.ts';
import { TransitionFailed } from './errors.ts';
import { actorLimits } from './limits.ts';
import { noteStep, takeSteps } from './steps.ts';
import { faultOfAddress } from './value.ts';
import type { ActorValue, InFlight, OutboxItem, RequestOrigin } from './value.ts';

/**
 * Maps the actions of XState's pure transition to outbox items and effects in flight. Changes only the draft.
 *
 * Invariant 2: an action that isn't mapped fails the handling before anything is stored.
 * Invariant 3: every effect and message has an id made of actor, incarnation and counter.
 * Invariant 5: timers are effects. `after` and delayed events become scheduled messages.
 */

/** A value that the current handling changes. Its outbox contains no older items, since they are already published. */
export type Draft = ActorValue;

export type OrderedAction = {
  type: string;
  params?: unknown;
  info: { context: unknown; self: unknown };
};

export function mapActions(
  definition: ActorDefinition,
  draft: Draft,
  actions: readonly OrderedAction[],
  nowMs: number,
): void {
  for (const action of actions) mapAction(definition, draft, action, nowMs);
}

function mapAction(definition: ActorDefinition, draft: Draft, action: OrderedAction, nowMs: number): void {
  const params = (action.params ?? {}) as Record<string, unknown>;
  switch (action.type) {
    case 'xstate.raise':
      // XState has already applied a raise without delay.
      if (params['delay'] !== undefined) startTimer(draft, params as TimerParams, nowMs);
      return;
    case 'xstate.sendTo':
      if (params['to'] !== action.info.self || params['delay'] === undefined) {
        throw new TransitionFailed(`${definition.kind} uses sendTo for something else than a delayed event to itself`);
      }
      return startTimer(draft, params as TimerParams, nowMs);
    case 'xstate.cancel':
      return cancelTimer(draft, String(params['sendId']));
    case 'xstate.spawnChild':
      return startInvocation(definition, draft, params as InvocationParams, action.info.context, nowMs);
    case 'xstate.stopChild':
      // A child that has ended has no effect in flight. This call then does nothing.
      return cancelInvocation(draft, (action.params as { id: string } | undefined)?.id);
    case 'xstate.emit':
      return emit(definition, draft, params['event'] as EventObject, nowMs);
    default:
      return order(definition, draft, action, nowMs);
  }
}

type TimerParams = { event: { type: string }; id?: string; delay: number };
type InvocationParams = { id: string; src: unknown; input: unknown; systemId?: unknown };

function nextId(draft: Draft): string {
  draft.counter += 1;
  return `${draft.kind}_${draft.id.replaceAll('.', '_')}_${draft.incarnation}_${draft.counter}`;
}

function startTimer(draft: Draft, params: TimerParams, nowMs: number): void {
  const { delay } = params;
  if (!Number.isFinite(delay) || delay < 0 || delay > actorLimits.timerDelayMsMax) {
    throw new TransitionFailed(`a delay of ${delay} ms is not between 0 and ${actorLimits.timerDelayMsMax}`);
  }
  if (params.id !== undefined) cancelTimer(draft, params.id);
  const effectId = nextId(draft);
  const atMs = Math.ceil(nowMs + delay);
  draft.inFlight[effectId] = { type: 'timer', sendId: params.id ?? effectId, atMs, event: params.event };
  draft.outbox.push({ type: 'timer', effectId, atMs });
}

function cancelTimer(draft: Draft, sendId: string): void {
  for (const [effectId, effect] of Object.entries(draft.inFlight)) {
    if (effect.type === 'timer' && effect.sendId === sendId) cancelEffect(draft, effectId, effect);
  }
}

function cancelInvocation(draft: Draft, childId: string | undefined): void {
  for (const [effectId, effect] of Object.entries(draft.inFlight)) {
    if (effect.type !== 'timer' && effect.childId === childId) cancelEffect(draft, effectId, effect);
  }
}

/**
 * If the current handling started the effect, nothing is published yet, so the effect's item is removed from the
 * outbox. Otherwise a cancellation is added to the outbox.
 */
export function cancelEffect(draft: Draft, effectId: string, effect: InFlight): void {
  delete draft.inFlight[effectId];
  const ordered = draft.outbox.findIndex((item) => orders(item, effectId));
  if (ordered >= 0) {
    draft.outbox.splice(ordered, 1);
    return;
  }
  noteStep(draft, effect, draft.updatedAtMs, null);
  if (effect.type === 'timer') draft.outbox.push({ type: 'cancel-timer', effectId });
  else if (effect.type === 'command') draft.outbox.push({ type: 'cancel-command', effectId });
  else if (effect.cancel !== null) pushEvent(draft, effect.to, effect.cancel, draft.updatedAtMs, { cancels: effectId });
}

/** Returns true if publishing this item starts the effect. */
export function orders(item: OutboxItem, effectId: string): boolean {
  if (item.type === 'command' || item.type === 'timer') return item.effectId === effectId;
  return item.type === 'message' && item.request?.effectId === effectId && item.message.type !== 'result';
}

function startInvocation(
  definition: ActorDefinition,
  draft: Draft,
  params: InvocationParams,
  context: unknown,
  nowMs: number,
): void {
  const { id: childId, src, input } = params;
  const source = typeof src === 'string' ? definition.sources[src] : undefined;
  if (source === undefined || typeof src !== 'string' || definition.invocations.get(childId)?.has(src) !== true) {
    throw new TransitionFailed(`${definition.kind} starts ${childId}, which is not an invoke of a mapped source`);
  }
  if (Object.values(draft.inFlight).some((effect) => effect.type !== 'timer' && effect.childId === childId)) {
    throw new TransitionFailed(`${definition.kind} invokes ${childId} while another of that id is in flight`);
  }
  const effectId = nextId(draft);
  const replyTo = { kind: draft.kind, id: draft.id };
  const issuedAt = new Date(nowMs).toISOString();
  // Only an actor that emits events reports steps.
  const noted = (what: string) => (definition.emitted === null ? {} : { ordered: { what, atMs: nowMs } });
  if (source.type === 'command') {
    const { service, name, input: schema } = source.operation;
    const checked = schema.safeParse(input);
    if (!checked.success)
      throw new TransitionFailed(`the input of ${childId} does not fit ${service} ${name}: ${checked.error.message}`);
    const subject = subjects.command(service, requirePool(source.pool(input, context), `the pool of ${childId}`), name);
    draft.inFlight[effectId] = { type: 'command', childId, source: src, ...noted(`${service}.${name}`) };
    draft.outbox.push({ type: 'command', effectId, subject, input, issuedAt });
    return;
  }
  const to = requireAddress({ kind: source.kind, id: source.id(input) });
  const effect = { effectId, replyTo };
  const event = source.event(input, effect);
  const cancel = source.cancel?.(input, effect) ?? null;
  const message: ActorMessage =
    source.create === null
      ? { type: 'event', messageId: effectId, event, issuedAt }
      : { type: 'create', messageId: effectId, input: source.create(input), event, issuedAt };
  draft.inFlight[effectId] = { type: 'request', childId, source: src, to, cancel, ...noted(source.kind) };
  draft.outbox.push({ type: 'message', messageId: effectId, to, message, request: effect });
}

function emit(definition: ActorDefinition, draft: Draft, event: EventObject, nowMs: number): void {
  if (definition.emitted === null)
    throw new TransitionFailed(`${definition.kind} emits ${event.type}, but has no mapping for it`);
  const messageId = nextId(draft);
  draft.sequence += 1;
  const { kind, id, sequence } = draft;
  const { subject, data } = definition.emitted(event, {
    kind,
    id,
    sequence,
    time: new Date(nowMs).toISOString(),
    eventId: messageId,
    steps: takeSteps(draft),
  });
  if (!/^coppice\.event\.[^\s*>]+$/.test(subject))
    throw new TransitionFailed(`${event.type} is emitted on ${subject}, no event subject`);
  draft.outbox.push({ type: 'event', messageId, subject, data });
}

function order(definition: ActorDefinition, draft: Draft, action: OrderedAction, nowMs: number): void {
  const ordering = definition.actions[action.type];
  if (ordering === undefined)
    throw new TransitionFailed(`${definition.kind} orders ${action.type}, which is not mapped`);
  const issuedAt = new Date(nowMs).toISOString();
  if (ordering.type === 'send') {
    const { kind, id, event } = ordering.params(action.params);
    return pushEvent(draft, requireAddress({ kind, id }), event, nowMs);
  }
  if (ordering.type === 'create') {
    const { kind, id, input, event } = ordering.params(action.params);
    const messageId = nextId(draft);
    const message: ActorMessage = {
      type: 'create',
      messageId,
      input,
      issuedAt,
      ...(event === undefined ? {} : { event }),
    };
    draft.outbox.push({ type: 'message', messageId, to: requireAddress({ kind, id }), message, request: null });
    return;
  }
  const { to, effectId, outcome } = ordering.params(action.params);
  pushResult(draft, { effectId, replyTo: requireAddress(to) }, outcome);
}

function pushEvent(
  draft: Draft,
  to: ReplyTo,
  event: { type: string },
  nowMs: number,
  more: { cancels?: string } = {},
): void {
  const messageId = nextId(draft);
  const message: ActorMessage = { type: 'event', messageId, event, issuedAt: new Date(nowMs).toISOString() };
  draft.outbox.push({ type: 'message', messageId, to, message, request: null, ...more });
}

export function pushResult(
  draft: Draft,
  origin: RequestOrigin,
  outcome: Extract<ActorMessage, { type: 'result' }>['outcome'],
): void {
  const message: ActorMessage = { type: 'result', effectId: origin.effectId, outcome };
  draft.outbox.push({ type: 'message', messageId: nextId(draft), to: origin.replyTo, message, request: null });
}

/** Pattern of a pool's name. The name is a token of a subject and part of a consumer's name. */
const poolPattern = /^[a-z0-9][a-z0-9_-]{0,99}$/;

function requirePool(text: string, what: string): string {
  if (poolPattern.test(text)) return text;
  throw new TransitionFailed(`${what} is not one token: ${text}`);
}

function requireAddress({ kind, id }: ReplyTo): ReplyTo {
  const fault = faultOfAddress({ kind, id });
  if (fault !== null) throw new TransitionFailed(fault);
  return { kind, id };
}
