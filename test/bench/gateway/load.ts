/** Asks, so many at once, as often as it is told; in a process of its own, so that what it takes is nobody else's. */
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

async function run(load: Load): Promise<LoadResult> {
  const { url, headers, model, kind, atOnce, count } = load;
  const dispatcher = new undici.Agent({ connections: atOnce, headersTimeout: 0, bodyTimeout: 0 });
  const body = JSON.stringify({
    model,
    messages: [{ role: 'user', content: 'Say something of a hundred words. '.repeat(8) }],
    max_tokens: 200,
    ...(kind === 'whole' ? {} : { stream: true, stream_options: { include_usage: true } }),
  });
  const options = {
    method: 'POST' as const,
    headers: { 'content-type': 'application/json', ...headers },
    body,
    dispatcher,
  };
  const totalMs: number[] = [];
  const firstChunkMs: number[] = [];
  const askOnce = async () => {
    const startedAt = performance.now();
    const answer = await undici.request(url, options);
    let first = 0;
    let last: Uint8Array = new Uint8Array();
    for await (const piece of answer.body) {
      if (first === 0) first = performance.now();
      last = piece;
    }
    const endedAt = performance.now();
    requireWhole(answer.statusCode, kind, last);
    totalMs.push(endedAt - startedAt);
    firstChunkMs.push(first - startedAt);
  };
  const startedAt = performance.now();
  let left = count;
  const worker = async () => {
    while (left-- > 0) await askOnce();
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  const tookMs = performance.now() - startedAt;
  const sorted = (values: number[]) => values.toSorted((one, other) => one - other);
  return { totalMs: sorted(totalMs), firstChunkMs: sorted(firstChunkMs), tookMs };
}

/** A target that fails fast would look fast. */
function requireWhole(status: number, kind: Load['kind'], last: Uint8Array): void {
  const end = Buffer.from(last).toString().trimEnd();
  const whole = kind === 'whole' ? end.endsWith('}') : end.endsWith('[DONE]');
  if (status !== 200 || !whole) throw new Error(`HTTP ${status}, ending in ${JSON.stringify(end.slice(-200))}`);
}
