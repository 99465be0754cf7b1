import type { ActorMessage } from '@coppice/contracts';
import type { ActorDefinition } from '../index.ts';
import { receive } from '../receive.ts';
import type { Decision, Incoming } from '../receive.ts';
import { decodeStored, encodeValue } from '../value.ts';
import type { ActorValue, OutboxItem } from '../value.ts';
import { prepared } from './harness.ts';
import { job } from './machines.ts';

/** Helpers that apply messages to an actor's value without a server. */
const issuedAt = '2026-11-24T00:00:00.000Z';
export const born = 1_000_000;
export type Event = { type: string } & Record<string, unknown>;

export const alone = (message: ActorMessage): Incoming => ({ message, request: null, cancels: null });
export const event = (messageId: string, inner: Event, answerTo?: string): Incoming => ({
  message: { type: 'event', messageId, event: inner, issuedAt, ...(answerTo === undefined ? {} : { answerTo }) },
  request: null,
  cancels: null,
});
export const create = (messageId: string, input: unknown = {}, inner?: Event): Incoming => ({
  message: { type: 'create', messageId, input, issuedAt, ...(inner === undefined ? {} : { event: inner }) },
  request: null,
  cancels: null,
});
export const result = (effectId: string, outcome: Extract<ActorMessage, { type: 'result' }>['outcome']): Incoming => ({
  message: { type: 'result', effectId, outcome },
  request: null,
  cancels: null,
});

/** A host encodes and decodes the value between two messages. */
const reread = (value: ActorValue): ActorValue => {
  const stored = decodeStored(encodeValue(value));
  if (stored.type === 'parked') throw new Error('parked');
  return stored.value;
};
export const give = (
  stored: ActorValue | null,
  incoming: Incoming,
  nowMs = born,
  definition: ActorDefinition = job,
): Decision => receive(definition, 'a.b', stored === null ? null : reread(stored), incoming, nowMs, () => 'i1');
export const next = (
  stored: ActorValue | null,
  incoming: Incoming,
  nowMs = born,
  definition: ActorDefinition = job,
): ActorValue => {
  const decision = give(stored, incoming, nowMs, definition);
  if (decision.type !== 'store')
    throw new Error(`${decision.type}: ${decision.type === 'drop' ? decision.reason : ''}`);
  return decision.value;
};
export const types = (items: readonly OutboxItem[]) => items.map((item) => item.type);
export const effectOf = (value: ActorValue, name: string): string => {
  const found = Object.entries(value.inFlight).find(
    ([, each]) => (each.type === 'timer' ? each.sendId : each.childId) === name,
  );
  if (found === undefined) throw new Error(`${name} is not in flight`);
  return found[0];
};

export function upTo(state: 'preparing' | 'asking', input: unknown = {}): ActorValue {
  const preparing = next(next(null, create('c', input)), event('m', { type: 'start' }));
  if (state === 'preparing') return preparing;
  return next(preparing, result(effectOf(preparing, 'prepare'), { status: 'done', output: prepared }));
}
