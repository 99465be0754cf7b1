import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ModelDelta, ModelDeltas } from '../../provider/port.ts';
import { AnswerSender } from './answer.ts';
import { messagesEndpoint } from '../../wires/anthropic/serve/endpoint.ts';
import { facadeLimits } from './limits.ts';
import type { Outlet } from './response-stream.ts';
import { about, requestParts, textAnswer } from './test-support/answers.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Creates an outlet that records each write with its time. */
function rememberingOutlet() {
  const startedAtMs = performance.now();
  const written: [number, string][] = [];
  let lastMs = performance.now();
  const note = (text: string) => {
    lastMs = performance.now();
    written.push([Math.round(lastMs - startedAtMs), text.split('\n')[0] ?? '']);
    return null;
  };
  const outlet = {
    begun: false,
    get silentMs() {
      return performance.now() - lastMs;
    },
    begin: (status: number) => {
      outlet.begun = true;
      note(`status ${status}`);
    },
    write: note,
    end: note,
  };
  return { written, outlet: outlet as unknown as Outlet };
}

const question = messagesEndpoint.parse(
  { model: 'm', max_tokens: 10, stream: true, messages: [{ role: 'user', content: 'hi' }] },
  requestParts(),
);

async function* after(ms: number, deltas: readonly ModelDelta[]): ModelDeltas {
  await new Promise((resolve) => setTimeout(resolve, ms));
  yield deltas;
}

const result = { provider: 'acme', model: 'one', costUsd: null, attempts: [], cached: false };

async function sent(ms: number): Promise<[number, string][]> {
  const { written, outlet } = rememberingOutlet();
  const exchange = { deltas: after(ms, textAnswer('hi')), result };
  const done = new AnswerSender({
    question,
    writer: question.writer(about),
    outlet,
    exchange,
    keep: async () => {},
    keepsPassed: false,
  }).send();
  await vi.advanceTimersByTimeAsync(ms + 1);
  await done;
  return written;
}

test('the status is held back until there is output', async () => {
  const waitMs = facadeLimits.statusHeldMsMax - 1;
  expect(new Set((await sent(waitMs)).map(([atMs]) => atMs))).toEqual(new Set([waitMs]));
});

test('a client of a model without output for a long time gets keep-alives', async () => {
  const waitMs = 3 * facadeLimits.statusHeldMsMax;
  const written = await sent(waitMs);
  const before = written.filter(([atMs]) => atMs < waitMs);
  expect(before.slice(0, 3)).toEqual([
    [facadeLimits.statusHeldMsMax, 'status 200'],
    [facadeLimits.statusHeldMsMax, 'event: ping'],
    [facadeLimits.statusHeldMsMax + facadeLimits.silenceMsMax, 'event: ping'],
  ]);
  expect(written.at(-1)?.[0]).toBe(waitMs);
});
