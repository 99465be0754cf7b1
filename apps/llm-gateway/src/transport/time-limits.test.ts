import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Patience } from './time-limits.ts';

const limits = { firstEventMsMax: 100, idleMsMax: 50, totalMsMax: 400, afterFinishMsMax: 20 };

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Creates time limits. `ended` records when they aborted and the error. */
function patient(signal: AbortSignal = new AbortController().signal) {
  const patience = new Patience('acme', signal, limits);
  const startedAtMs = performance.now();
  const ended: { atMs: number; why: string }[] = [];
  patience.signal.addEventListener('abort', () =>
    ended.push({ atMs: performance.now() - startedAtMs, why: (patience.signal.reason as Error).message }),
  );
  return { patience, ended };
}

test('an answer that does not begin in time is aborted', () => {
  const { patience, ended } = patient();
  vi.advanceTimersByTime(99);
  expect(ended).toEqual([]);
  vi.advanceTimersByTime(1_000);
  expect(ended).toEqual([{ atMs: 100, why: 'acme did not begin its answer within 100 ms' }]);
  expect(() => patience.signal.throwIfAborted()).toThrow('did not begin');
  expect(patience.ownReason).toBe(patience.signal.reason);
});

test('each event restarts the limit between events, within the total limit', () => {
  const { patience, ended } = patient();
  for (let events = 0; events < 7; events++) {
    vi.advanceTimersByTime(49);
    patience.sawEvent();
  }
  expect(ended).toEqual([]);
  vi.advanceTimersByTime(1_000);
  expect(ended).toEqual([
    { atMs: 7 * 49 + 50, why: 'acme fell silent in the middle of its answer: nothing came within 50 ms' },
  ]);
});

test('during a rest only the total limit continues', () => {
  const { patience, ended } = patient();
  patience.sawEvent();
  patience.rest();
  vi.advanceTimersByTime(399);
  expect(ended).toEqual([]);
  vi.advanceTimersByTime(1_000);
  expect(ended).toEqual([{ atMs: 400, why: 'acme did not end its answer within 400 ms' }]);
});

test('after a rest the limit between events applies again', () => {
  const { patience, ended } = patient();
  patience.rest();
  vi.advanceTimersByTime(300);
  patience.sawEnd();
  vi.advanceTimersByTime(1_000);
  expect(ended).toEqual([{ atMs: 320, why: 'acme did not close its stream within 20 ms' }]);
});

test("the caller's abort is passed on unchanged, before and after the start", () => {
  const [early, late] = [new AbortController(), new AbortController()];
  early.abort(new Error('left'));
  const { patience } = patient(early.signal);
  expect(() => patience.signal.throwIfAborted()).toThrow('left');
  expect(patience.ownReason).toBeUndefined();
  const { ended } = patient(late.signal);
  vi.advanceTimersByTime(10);
  late.abort(new Error('stopped'));
  vi.advanceTimersByTime(1_000);
  expect(ended).toEqual([{ atMs: 10, why: 'stopped' }]);
});

test('after the end no limit and no signal has an effect', () => {
  const caller = new AbortController();
  const { patience, ended } = patient(caller.signal);
  patience.end();
  expect(vi.getTimerCount()).toBe(0);
  caller.abort(new Error('left'));
  expect(ended).toEqual([]);
});
