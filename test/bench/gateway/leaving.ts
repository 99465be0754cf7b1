import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Target } from './targets.ts';
import { undici } from './undici.ts';

/** Message of the upstream about a closed connection. `process.hrtime` has the same clock in all processes. */
export type Left = { closedAtNs: string };

const nanosecondsPerMs = 1e6;
/** Time limit for the upstream's message. Longer than a whole answer takes. */
const closedMsMax = 2_000;

/**
 * Measures the time from a client's disconnect until the upstream's connection closes. Each client disconnects after
 * the first chunk of a paced stream.
 * @returns sorted milliseconds
 * @throws if most answers end before the client disconnects
 */
export async function measureLeaving(target: Target, upstream: ChildProcess, count: number): Promise<number[]> {
  const took: number[] = [];
  for (let times = 0; took.length < count; times++) {
    if (times > 2 * count)
      throw new Error(`${target.name}: the upstream saw only ${took.length} of ${times} clients disconnect`);
    const ms = await leave(target, upstream);
    if (ms !== null) took.push(ms);
  }
  return took.toSorted((one, other) => one - other);
}

/** Returns null if the answer ended before the client disconnected. */
async function leave(target: Target, upstream: ChildProcess): Promise<number | null> {
  const content = 'Say something of a hundred words.';
  const body = JSON.stringify({ model: target.modelFor('paced'), messages: [{ role: 'user', content }], stream: true });
  const dispatcher = new undici.Agent({});
  const options = { method: 'POST' as const, headers: { 'content-type': 'application/json', ...target.headers }, body };
  const answer = await undici.request(target.url, { ...options, dispatcher });
  if (answer.statusCode !== 200) throw new Error(`HTTP ${answer.statusCode}: ${await answer.body.text()}`);
  // A timeout means that the answer ended before the client disconnected.
  const closed = once(upstream, 'message', { signal: AbortSignal.timeout(closedMsMax) }).catch(() => null);
  const pieces = answer.body[Symbol.asyncIterator]();
  await pieces.next();
  const leftAtNs = process.hrtime.bigint();
  // Ending the iteration also closes the connection.
  await pieces.return?.();
  const notice = (await closed) as [Left] | null;
  await dispatcher.close();
  return notice === null ? null : Number(BigInt(notice[0].closedAtNs) - leftAtNs) / nanosecondsPerMs;
}
