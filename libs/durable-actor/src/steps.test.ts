import { expect, test } from 'vitest';
import { actorLimits } from './index.ts';
import { noteStep } from './steps.ts';
import type { Step } from './steps.ts';
import { born, create, effectOf, event, next, result, upTo } from './test-support/pure.ts';
import { prepared } from './test-support/harness.ts';
import type { ActorValue } from './value.ts';

/** Returns the steps that each event of the outbox reports. */
const stepsIn = ({ outbox }: ActorValue): (Step[] | undefined)[] =>
  outbox.flatMap((item) => (item.type === 'event' ? [(item.data as { steps?: Step[] }).steps] : []));

const preparing = () => next(next(null, create('c')), event('m', { type: 'start' }), born + 10);
const done = (value: ActorValue) => result(effectOf(value, 'prepare'), { status: 'done', output: prepared });
const prepare = { what: 'worktree-service.prepare', orderedAtMs: born + 10 };

test('the next event reports each ended effect once, with its start, its time in the queue and its working time', () => {
  const before = preparing();
  expect(stepsIn(before)).toEqual([undefined]);
  const incoming = done(before);
  const asking = next(
    before,
    { ...incoming, message: { ...incoming.message, queuedMs: 40, workedMs: 300 } as never },
    born + 400,
  );
  expect(stepsIn(asking)).toEqual([[{ ...prepare, endedAtMs: born + 400, queuedMs: 40, workedMs: 300, error: null }]]);
  const answered = next(
    asking,
    result(effectOf(asking, 'desk'), { status: 'done', output: { ticket: 1 } }),
    born + 900,
  );
  // The step of a request has the kind of the requested actor as its name. Its time in the inbox is unknown.
  const request = { what: 'desk', orderedAtMs: born + 400, endedAtMs: born + 900, queuedMs: null, workedMs: null };
  expect(stepsIn(answered)).toEqual([[{ ...request, error: null }]]);
});

test('a failure is reported with its code, and a cancelled effect as cancelled', () => {
  const error = { code: 'unavailable', message: 'away', retryable: true } as const;
  const failed = next(preparing(), result(effectOf(preparing(), 'prepare'), { status: 'failed', error }), born + 20);
  expect(stepsIn(failed).flat()).toMatchObject([{ ...prepare, error: 'unavailable' }]);
  const stopped = next(preparing(), event('m2', { type: 'stop' }), born + 30);
  expect(stepsIn(stopped).flat()).toMatchObject([{ ...prepare, endedAtMs: born + 30, error: 'cancelled' }]);
  for (const ended of [failed, stopped]) expect(ended.steps).toBeUndefined();
});

test("an effect that an earlier version started without a time isn't reported", () => {
  const before = preparing();
  for (const effect of Object.values(before.inFlight)) if (effect.type !== 'timer') delete effect.ordered;
  expect(stepsIn(next(before, done(before), born + 50))).toEqual([undefined]);
});

test('an actor that emits no events for long keeps a bounded number of steps', () => {
  const draft = upTo('preparing');
  const effect = draft.inFlight[effectOf(draft, 'prepare')];
  if (effect === undefined) throw new Error('nothing in flight');
  for (let count = 0; count < actorLimits.stepsMax + 5; count++) noteStep(draft, effect, born + count, null);
  expect(draft.steps).toHaveLength(actorLimits.stepsMax);
  expect(draft.steps?.[0]).toMatchObject({ endedAtMs: born });
});
