import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Incoming } from './receive.ts';
import { prepared } from './test-support/harness.ts';
import { alone, born, event, create, result, give, next } from './test-support/pure.ts';
import { stateText } from './value.ts';
import type { ActorValue, OutboxItem } from './value.ts';

test('any sequence of messages, repeated or late: no id is used twice, and the effects in flight match the state', () => {
  const step = fc.oneof(
    fc.constantFrom('start', 'approve', 'stop', 'pad').map((type) => ({ type, text: 'x' })),
    fc.record({ type: fc.constant('poke'), number: fc.integer() }),
    fc
      .constantFrom('result:prepare', 'error:prepare', 'result:desk', 'timer:reminder', 'wake', 'again')
      .map((type) => ({ type })),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      let value = next(null, create('c'));
      const ids = new Set<string>(value.outbox.map(idOf));
      let last: Incoming | null = null;
      let nowMs = born;
      const counted: string[] = [];
      for (const [index, each] of steps.entries()) {
        nowMs += 1_000;
        const incoming: Incoming | null = each.type === 'again' ? last : incomingOf(value, each, `m${index}`);
        if (incoming === null) continue;
        const decision = give(value, incoming, nowMs);
        if (each.type === 'again' && incoming.message.type !== 'wake' && decision.type === 'store') {
          // A repeated event may change the value only if the actor rejected the event before.
          counted.push(incoming.message.type);
        }
        last = incoming;
        if (decision.type !== 'store') continue;
        value = decision.value;
        for (const item of value.outbox) {
          if (item.type === 'cancel-timer' || item.type === 'cancel-command') continue;
          expect(ids.has(idOf(item))).toBe(false);
          ids.add(idOf(item));
        }
        const children = Object.values(value.inFlight).flatMap((effect) =>
          effect.type === 'timer' ? [] : [effect.childId],
        );
        const expected = { preparing: ['prepare'], asking: ['desk'] }[stateText(value.state)] ?? [];
        expect(children).toEqual(expected);
      }
      expect(counted.filter((type) => type !== 'event')).toEqual([]);
    }),
    { numRuns: 150 },
  );
});

const idOf = (item: OutboxItem): string => ('effectId' in item ? item.effectId : item.messageId);

function incomingOf(value: ActorValue, step: { type: string }, messageId: string): Incoming | null {
  if (step.type === 'wake') return alone({ type: 'wake' });
  const [kind, name] = step.type.split(':');
  if (name === undefined) return event(messageId, step);
  const found = Object.entries(value.inFlight).find(
    ([, each]) => (each.type === 'timer' ? each.sendId : each.childId) === name,
  );
  if (found === undefined) return null;
  if (kind === 'timer') return alone({ type: 'timer', effectId: found[0] });
  if (kind === 'error')
    return result(found[0], { status: 'failed', error: { code: 'internal', message: 'x', retryable: true } });
  return result(found[0], { status: 'done', output: name === 'desk' ? { ticket: 1 } : prepared });
}
