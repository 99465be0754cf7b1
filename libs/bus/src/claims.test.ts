import { buckets } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Bus, ClaimLost, Claims } from './index.ts';
import type { ClaimAttempt, HeldClaim } from './index.ts';

let server: NatsServer;
let bus: Bus;
let counter = 0;
const signal = new AbortController().signal;
const outcome = { status: 'done', output: 1 } as const;

beforeAll(async () => {
  server = await startNatsServer();
  bus = await Bus.connect({ ...server.connection, name: 'claims-test' });
  await bus.ensureResources();
});
afterAll(async () => {
  await bus.close();
  await server.stop();
});

/** Returns a store that performs all writes. The answers to the first `lost` writes don't arrive. */
function withoutAnswers(lost: number) {
  const bucket = bus.keyValue(buckets.effects);
  const answer = async (revision: Promise<number>): Promise<number> => {
    const stored = await revision;
    if (lost-- > 0) throw new Error('timeout');
    return stored;
  };
  return {
    keyValue: () => ({
      get: (key: string) => bucket.get(key),
      create: (...given: Parameters<typeof bucket.create>) => answer(bucket.create(...given)),
      update: (...given: Parameters<typeof bucket.update>) => answer(bucket.update(...given)),
    }),
  };
}
const nobodyIsLost = async () => false;
const everybodyIsLost = async () => true;
const held = (attempt: ClaimAttempt): HeldClaim => {
  if (attempt.status !== 'held') throw new Error(`the claim is ${attempt.status}`);
  return attempt.claim;
};
const nextEffect = () => `test_claims_0_${counter++}`;

test('a claim whose answer got lost is begun once, and not as a take-over', async () => {
  const effectId = nextEffect();
  const attempt = await new Claims(withoutAnswers(1), everybodyIsLost).begin(effectId, 'one', 'hash');
  expect(attempt).toMatchObject({ status: 'held', takenOver: false });
  await held(attempt).finish(outcome, signal);
  expect(await new Claims(bus, nobodyIsLost).begin(effectId, 'two', 'hash')).toEqual({ status: 'done', outcome });
});

test("a finish whose answer got lost doesn't lose the claim", async () => {
  const effectId = nextEffect();
  const claim = held(await new Claims(withoutAnswers(0), nobodyIsLost).begin(effectId, 'one', 'hash'));
  await claim.finish(outcome, signal);
  const other = nextEffect();
  const store = withoutAnswers(3);
  const unanswered = held(await new Claims(store, nobodyIsLost).begin(other, 'one', 'hash'));
  await unanswered.writeAgain(signal);
  await unanswered.finish(outcome, signal);
  expect((await new Claims(bus, nobodyIsLost).look(other))?.claim).toMatchObject({ state: 'done', outcome });
});

test("a claim that was taken over can't be rewritten or finished by its old owner", async () => {
  const effectId = nextEffect();
  const first = held(await new Claims(bus, nobodyIsLost).begin(effectId, 'one', 'hash'));
  const second = await new Claims(bus, everybodyIsLost).begin(effectId, 'two', 'hash');
  expect(second).toMatchObject({ status: 'held', takenOver: true });
  await expect(first.writeAgain(signal)).rejects.toThrow(ClaimLost);
  await expect(first.finish(outcome, signal)).rejects.toThrow(ClaimLost);
  await held(second).finish(outcome, signal);
});

test('an owner that rewrites its claim makes an already decided take-over fail', async () => {
  const effectId = nextEffect();
  const owner = held(await new Claims(bus, nobodyIsLost).begin(effectId, 'one', 'hash'));
  let judged = 0;
  const late = new Claims(bus, async () => {
    if (++judged > 1) return false;
    // The owner rewrites its claim after it was judged lost and before the claim is taken over.
    await owner.writeAgain(signal);
    return true;
  });
  expect(await late.begin(effectId, 'two', 'hash')).toEqual({ status: 'busy', owner: 'one' });
  await owner.finish(outcome, signal);
});

test('a claim that the server has lost is created again, unless another process has begun the effect', async () => {
  const bucket = bus.keyValue(buckets.effects);
  const claims = new Claims(bus, nobodyIsLost);
  const [lost, begun] = [nextEffect(), nextEffect()];
  const [first, second] = [
    held(await claims.begin(lost, 'one', 'hash')),
    held(await claims.begin(begun, 'one', 'hash')),
  ];
  await bucket.delete(lost);
  await first.finish(outcome, signal);
  expect(await claims.begin(lost, 'two', 'hash')).toEqual({ status: 'done', outcome });
  await bucket.delete(begun);
  held(await claims.begin(begun, 'two', 'hash'));
  await expect(second.finish(outcome, signal)).rejects.toThrow(ClaimLost);
});

test('a finished claim stays done, although its owner rewrites it until the outcome is sent', async () => {
  const effectId = nextEffect();
  const claims = new Claims(bus, everybodyIsLost);
  const claim = held(await claims.begin(effectId, 'one', 'hash'));
  await Promise.all([claim.writeAgain(signal), claim.finish(outcome, signal), claim.writeAgain(signal)]);
  await claim.writeAgain(signal);
  expect(await claims.begin(effectId, 'two', 'hash')).toEqual({ status: 'done', outcome });
});
