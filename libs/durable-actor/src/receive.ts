import { CoppiceError, toWireError } from '@coppice/contracts';
import type { ActorMessage, Outcome, WireError } from '@coppice/contracts';
import type { EventObject } from 'xstate';
import { applyEvent, begin, dispositionOf, endedError, resume } from './apply-event.ts';
import type { Work } from './apply-event.ts';
import type { ActorDefinition, SpanDescription } from './definition.ts';
import type { EffectDone, EffectFailed } from './effect-events.ts';
import { pushResult } from './map-actions.ts';
import { actorLimits } from './limits.ts';
import { noteStep } from './steps.ts';
import { stateText } from './value.ts';
import type { ActorValue, Answer, InFlight, RequestOrigin } from './value.ts';

/**
 * Decides how a message changes an actor. Pure.
 *
 * Invariant 3: a result or timer whose effect isn't in flight is dropped. This also drops duplicates of results and
 * timers, so an actor remembers only the ids of events.
 * Invariant 6: only `create` creates an actor. A finished actor leaves a tombstone, so later events are rejected.
 */
export type Incoming = {
  message: ActorMessage;
  /** The effect of another actor that waits for the result of this message. */
  request: RequestOrigin | null;
  /**
   * Effect id of the request that this event cancels. It is also the request's message id. If the cancellation arrives
   * before the request, the id is remembered as handled, so that the request is dropped.
   */
  cancels: string | null;
};

export type Refusal = { request: RequestOrigin; error: WireError };

export type Decision =
  /** `spans` describes the new state. Null if the definition describes no spans. */
  | { type: 'store'; value: ActorValue; answers: Answer[]; spans: SpanDescription | null }
  /** Nothing is stored. `refused` is sent to the requesting actor before the message is acknowledged. */
  | { type: 'drop'; reason: string; answers: Answer[]; refused: Refusal | null }
  /** The actor doesn't exist yet. The event is tried again later. */
  | { type: 'absent' };

/** @throws Unrestorable if the actor must be parked; TransitionFailed if the actor's machine fails */
export function receive(
  definition: ActorDefinition,
  id: string,
  stored: ActorValue | null,
  incoming: Incoming,
  nowMs: number,
  newIncarnation: () => string,
): Decision {
  const { message } = incoming;
  if (message.type === 'create') return receiveCreate(definition, id, stored, incoming, message, nowMs, newIncarnation);
  if (stored === null) return message.type === 'event' ? { type: 'absent' } : dropped('there is no such actor');
  if (message.type === 'event')
    return receiveEvent(definition, stored, incoming, message.messageId, message.event, message.answerTo, nowMs);
  if (stored.status === 'done') return dropped('the actor has ended');
  if (message.type === 'wake') return receiveWake(definition, stored, nowMs);
  const effect = Object.hasOwn(stored.inFlight, message.effectId) ? stored.inFlight[message.effectId] : undefined;
  if (effect === undefined || (effect.type === 'timer') !== (message.type === 'timer'))
    return dropped('the effect is not in flight');
  const work = resume(definition, stored, nowMs);
  delete work.draft.inFlight[message.effectId];
  if (message.type === 'result') noteStep(work.draft, effect, work.nowMs, message);
  applyEvent(work, message.type === 'result' ? resultEvent(definition, effect, message) : timerEvent(effect));
  return changed(work);
}

function receiveCreate(
  definition: ActorDefinition,
  id: string,
  stored: ActorValue | null,
  incoming: Incoming,
  message: Extract<ActorMessage, { type: 'create' }>,
  nowMs: number,
  newIncarnation: () => string,
): Decision {
  const { messageId, event } = message;
  if (stored !== null) {
    if (event === undefined) return dropped('the actor is there already');
    return receiveEvent(definition, stored, incoming, messageId, event, undefined, nowMs);
  }
  const work = begin(definition, id, message.input, newIncarnation(), nowMs);
  if (event === undefined) {
    remember(work, messageId);
    return changed(work);
  }
  return offer(work, incoming, messageId, event, undefined, true);
}

function receiveEvent(
  definition: ActorDefinition,
  stored: ActorValue,
  incoming: Incoming,
  messageId: string,
  event: EventObject,
  answerTo: string | undefined,
  nowMs: number,
): Decision {
  if (stored.recentMessages.includes(messageId)) {
    return { type: 'drop', reason: 'a repeat', answers: answered(answerTo, accepted(stored, false)), refused: null };
  }
  if (stored.status === 'done') return refusal(incoming, answerTo, endedError(definition, stored, event));
  const work = resume(definition, stored, nowMs);
  if (incoming.cancels !== null) {
    if (!stored.recentMessages.includes(incoming.cancels)) remember(work, incoming.cancels);
    work.draft.deferred = work.draft.deferred.filter((deferred) => deferred.messageId !== incoming.cancels);
  }
  return offer(work, incoming, messageId, event, answerTo, incoming.cancels !== null);
}

/**
 * Applies an event from outside to the current state.
 * @param changedAlready true if the value must be stored even if the event is rejected, for example after a creation
 */
function offer(
  work: Work,
  incoming: Incoming,
  messageId: string,
  event: EventObject,
  answerTo: string | undefined,
  changedAlready: boolean,
): Decision {
  const { draft } = work;
  const disposition =
    draft.status === 'done'
      ? { type: 'refuse' as const, error: endedError(work.definition, draft, event) }
      : dispositionOf(work, event);
  const full = disposition.type === 'defer' && draft.deferred.length >= actorLimits.deferredMax;
  if (disposition.type === 'refuse' || full) {
    const error = disposition.type === 'refuse' ? disposition.error : tooManyDeferred(work);
    if (!changedAlready) return refusal(incoming, answerTo, error);
    if (incoming.request !== null) pushResult(draft, incoming.request, { status: 'failed', error });
    work.answers.push(...answered(answerTo, { status: 'failed', error }));
    remember(work, messageId);
    return changed(work);
  }
  remember(work, messageId);
  if (disposition.type === 'defer') {
    draft.deferred.push({ messageId, event, answerTo: answerTo ?? null, request: incoming.request });
  } else applyEvent(work, event);
  work.answers.push(...answered(answerTo, accepted(draft, disposition.type === 'defer')));
  return changed(work);
}

function receiveWake(definition: ActorDefinition, stored: ActorValue, nowMs: number): Decision {
  const due = Object.entries(stored.inFlight)
    .flatMap(([effectId, effect]) => (effect.type === 'timer' && effect.atMs <= nowMs ? [{ effectId, effect }] : []))
    .toSorted((left, right) => left.effect.atMs - right.effect.atMs);
  // With `unstash`, the host has already put the stash back into the inbox. Storing the value removes the field.
  if (due.length === 0 && stored.unstash !== true) return dropped('nothing is due');
  const work = resume(definition, stored, nowMs);
  for (const { effectId, effect } of due) {
    // The event of an earlier timer may have cancelled this timer or ended the actor.
    if (work.draft.status === 'done' || work.draft.inFlight[effectId] === undefined) continue;
    delete work.draft.inFlight[effectId];
    applyEvent(work, timerEvent(effect));
  }
  return changed(work);
}

function resultEvent(
  definition: ActorDefinition,
  effect: InFlight,
  { effectId, outcome }: { effectId: string; outcome: Outcome },
): EffectDone | EffectFailed {
  if (effect.type === 'timer') throw new Error('a timer has no result');
  const checked = checkedOutcome(definition, effect.source, outcome);
  const actorId = effect.childId;
  return checked.status === 'done'
    ? { type: `xstate.done.actor.${actorId}`, output: checked.output, actorId }
    : { type: `xstate.error.actor.${actorId}`, error: checked.error, actorId, effectId };
}

/**
 * Checks a result against its schema. A service of another version may send a result that doesn't fit. The machine then
 * gets a failed result instead of an unexpected output.
 */
function checkedOutcome(definition: ActorDefinition, sourceName: string, outcome: Outcome): Outcome {
  const source = definition.sources[sourceName];
  if (outcome.status === 'failed' || source?.type !== 'command') return outcome;
  const { operation } = source;
  const parsed = operation.output.safeParse(outcome.output);
  if (parsed.success) return { status: 'done', output: parsed.data };
  const text = `the result of ${operation.service} ${operation.name} does not fit its schema: ${parsed.error.message}`;
  return { status: 'failed', error: toWireError(new CoppiceError('internal', text, { retryable: false })) };
}

const timerEvent = (effect: InFlight): EventObject => {
  if (effect.type !== 'timer') throw new Error('not a timer');
  return effect.event;
};

function remember(work: Work, messageId: string): void {
  const { recentMessages } = work.draft;
  recentMessages.push(messageId);
  if (recentMessages.length > actorLimits.recentMessagesMax) recentMessages.shift();
}

const changed = ({ definition, draft, snapshot, answers }: Work): Decision => ({
  type: 'store',
  value: draft,
  answers,
  spans: definition.spans?.(snapshot) ?? null,
});
const dropped = (reason: string): Decision => ({ type: 'drop', reason, answers: [], refused: null });

const refusal = ({ request }: Incoming, answerTo: string | undefined, error: WireError): Decision => ({
  type: 'drop',
  reason: error.message,
  answers: answered(answerTo, { status: 'failed', error }),
  refused: request === null ? null : { request, error },
});

const answered = (answerTo: string | undefined, outcome: Outcome): Answer[] =>
  answerTo === undefined ? [] : [{ answerTo, outcome }];

const accepted = (value: ActorValue, deferred: boolean): Outcome => ({
  status: 'done',
  output: { state: stateText(value.state), deferred },
});

const tooManyDeferred = ({ draft }: Work): WireError => {
  const text = `${draft.kind} ${draft.id} already keeps ${actorLimits.deferredMax} events for a later state`;
  return toWireError(new CoppiceError('limit-exceeded', text));
};
