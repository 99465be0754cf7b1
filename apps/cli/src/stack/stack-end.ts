/**
 * Tells when a stack is over. The connection to its server can't: while `coppice down` drains, the server is still there; when it is gone, the
 * client looks for it for ever, since a server also comes back; and a killed stack leaves it running.
 */
import type { Bus } from '@coppice/bus';
import type { Home } from './home.ts';
import { runningStack } from './status.ts';

const lookIntervalMs = 250;

export type StackWatch = { ended: AbortSignal; stop(): void };

/** Until `stop`. @param home of the embedded stack; null for one that runs elsewhere, of which only the connection is known. */
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

/** Null while the stack runs. One that another has taken the place of goes on with the same runs, at the same address. */
export function endOf(home: Home): string | null {
  const status = runningStack(home);
  if (status === null) return 'the stack has ended';
  if (status.phase === 'stopping') return 'the stack is being stopped';
  return status.phase === 'failed' ? `the stack has failed: ${status.failure ?? 'see its log'}` : null;
}
