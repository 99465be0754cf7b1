/**
 * Detects the end of a stack from its status file. The connection to the NATS server isn't enough. While the stack
 * stops, the server still runs. When the server has ended, the client tries to reconnect forever. And a killed stack
 * leaves its server running.
 */
import type { Bus } from '@coppice/bus';
import type { Home } from './home.ts';
import { runningStack } from './status.ts';

const lookIntervalMs = 250;

export type StackWatch = { ended: AbortSignal; stop(): void };

/**
 * Watches a stack until `stop`.
 * @param home home of the embedded stack; null for a remote stack, of which only the connection is watched
 */
export function watchStack(bus: Bus, home: Home | null): StackWatch {
  const ending = new AbortController();
  const looking = home === null ? undefined : setInterval(() => look(home), lookIntervalMs);
  const look = (of: Home) => {
    const end = endOf(of);
    if (end !== null) ending.abort(end);
  };
  void bus.closed.then((error) =>
    ending.abort(`the connection was closed${error === undefined ? '' : `: ${error.message}`}`),
  );
  return { ended: ending.signal, stop: () => clearInterval(looking) };
}

/**
 * Returns a text on why no stack runs in this home. Returns null if one runs, even if it has replaced the former stack,
 * since it continues the runs at the same address.
 */
export function endOf(home: Home): string | null {
  const status = runningStack(home);
  if (status === null) return 'the stack has ended';
  if (status.phase === 'stopping') return 'the stack is being stopped';
  return status.phase === 'failed' ? `the stack has failed: ${status.failure ?? 'see its log'}` : null;
}
