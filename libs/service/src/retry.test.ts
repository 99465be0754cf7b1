import { expect, test, vi } from 'vitest';
import { retry } from './retry.ts';

const away = new Error('away');
const failing = (times: number) => {
  let left = times;
  return vi.fn<() => Promise<string>>(async () => {
    if (left-- > 0) throw away;
    return 'done';
  });
};
const always = () => true;

test('repeats the work until it succeeds, and passes the number of tries to `mayPass`', async () => {
  const tries: number[] = [];
  const mayPass = (_error: Error, count: number) => tries.push(count) > 0;
  expect(await retry(failing(3), { mayPass })).toBe('done');
  expect(tries).toEqual([1, 2, 3]);
});

test('throws the last error if the tries or the time are used up, or if another try can not help', async () => {
  const [limited, late, final] = [failing(9), failing(9), failing(9)];
  await expect(retry(limited, { mayPass: always, triesMax: 3 })).rejects.toBe(away);
  await expect(retry(late, { mayPass: always, forMs: 0, pauseMs: 60_000 })).rejects.toBe(away);
  await expect(retry(final, { mayPass: async () => false })).rejects.toBe(away);
  expect([limited, late, final].map(({ mock }) => mock.calls.length)).toEqual([3, 1, 1]);
});

test('each pause is twice as long as the last one, up to the limit', async () => {
  vi.useFakeTimers();
  const startedAtMs = performance.now();
  const atMs: number[] = [];
  const work = async () => {
    atMs.push(performance.now() - startedAtMs);
    if (atMs.length < 6) throw away;
  };
  const over = retry(work, { mayPass: always, pauseMs: 100, pauseMsMax: 500 });
  await vi.runAllTimersAsync();
  await over;
  vi.useRealTimers();
  expect(atMs).toEqual([0, 100, 300, 700, 1_200, 1_700]);
});

test('an abort ends the pause and throws the reason', async () => {
  const stopping = new AbortController();
  const reason = new Error('stopping');
  const work = failing(9);
  const over = retry(work, { mayPass: always, pauseMs: 60_000, signal: stopping.signal });
  await expect.poll(() => work.mock.calls.length).toBe(1);
  stopping.abort(reason);
  await expect(over).rejects.toBe(reason);
});
