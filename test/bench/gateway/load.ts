/** The load generator. It is a separate process, so that its CPU time isn't counted for a target. */
import { Bus } from '@coppice/bus';
import { chatApi, chatLimits, chatMessageSchema } from '@coppice/contracts';
import type { Load, LoadResult } from './load-plan.ts';
import { undici } from './undici.ts';

process.on('message', (load: Load) => {
  void run(load).then(
    (result) => process.send?.(result),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');

type Asking = {
  /** Resolves after the answer with the time of the first chunk, as `performance.now()` returns it. */
  ask(): Promise<number>;
  close(): Promise<void>;
};

const prompt = 'Say something of a hundred words. '.repeat(8);
const outputTokensMax = 200;

async function run(load: Load): Promise<LoadResult> {
  const { atOnce, count } = load;
  const asking = load.bus === null ? overHttp(load) : await overBus(load, load.bus);
  const totalMs: number[] = [];
  const firstChunkMs: number[] = [];
  const startedAt = performance.now();
  let left = count;
  const worker = async () => {
    while (left-- > 0) {
      const sentAt = performance.now();
      const first = await asking.ask();
      totalMs.push(performance.now() - sentAt);
      firstChunkMs.push(first - sentAt);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  const tookMs = performance.now() - startedAt;
  await asking.close();
  const sorted = (values: number[]) => values.toSorted((one, other) => one - other);
  return { totalMs: sorted(totalMs), firstChunkMs: sorted(firstChunkMs), tookMs };
}

function overHttp({ url, headers, model, kind, atOnce }: Load): Asking {
  const dispatcher = new undici.Agent({ connections: atOnce, headersTimeout: 0, bodyTimeout: 0 });
  const body = JSON.stringify({
    model,
    messages: [{ role: 'user', content: prompt }],
    max_tokens: outputTokensMax,
    ...(kind === 'whole' ? {} : { stream: true, stream_options: { include_usage: true } }),
  });
  const options = {
    method: 'POST' as const,
    headers: { 'content-type': 'application/json', ...headers },
    body,
    dispatcher,
  };
  const ask = async () => {
    const answer = await undici.request(url, options);
    let first = 0;
    let last: Uint8Array = new Uint8Array();
    for await (const piece of answer.body) {
      if (first === 0) first = performance.now();
      last = piece;
    }
    requireWhole(answer.statusCode, kind, last);
    return first;
  };
  return { ask, close: () => dispatcher.close() };
}

async function overBus({ model, kind }: Load, servers: string): Promise<Asking> {
  const bus = await Bus.connect({ servers, name: 'bench-load' });
  const target = { tenant: 'default' };
  const input = {
    model,
    messages: [{ role: 'user' as const, content: [{ type: 'text' as const, text: prompt }] }],
    settings: { maxOutputTokens: outputTokensMax },
  };
  const askWhole = async () => {
    await bus.call(chatApi.chat, target, { ...input, stream: false });
    return performance.now();
  };
  const askStreamed = async () => {
    let first = 0;
    const about = { method: chatApi.chat, target, input, message: chatMessageSchema };
    for await (const message of bus.callStreamed({ ...about, silenceMsMax: chatLimits.lostAfterMs })) {
      if (first === 0 && message.type === 'text-delta') first = performance.now();
      if (message.type === 'error') throw new Error(message.error.message);
      if (message.type === 'result') return first;
    }
    throw new Error('a chat without an end');
  };
  return { ask: kind === 'whole' ? askWhole : askStreamed, close: () => bus.close() };
}

/** Without this check, a target that fails quickly would count as fast. */
function requireWhole(status: number, kind: Load['kind'], last: Uint8Array): void {
  const end = Buffer.from(last).toString().trimEnd();
  const whole = kind === 'whole' ? end.endsWith('}') : end.endsWith('[DONE]');
  if (status !== 200 || !whole) throw new Error(`HTTP ${status}, ending in ${JSON.stringify(end.slice(-200))}`);
}
