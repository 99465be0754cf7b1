import { CoppiceError } from '@coppice/contracts';
import { retry } from '@coppice/service';

/**
 * Time for which a service may be absent. After a restart of the NATS server, the services reconnect at different
 * moments. A replaced service must also start first.
 */
const awayMsMax = 8_000;
const againMs = 200;
/** A lost connection causes `deadline-exceeded` at once, since it isn't clear whether the call was received. */
const awayCodes: ReadonlySet<string> = new Set(['unavailable', 'deadline-exceeded']);

/**
 * Makes a call that changes nothing, and repeats it while no service answers.
 * @throws what the call throws. `unavailable` (no service serves the call) and `deadline-exceeded` (no answer) are
 * thrown only after `awayMs`
 */
export function whenServed<Answer>(call: () => Promise<Answer>, awayMs: number = awayMsMax): Promise<Answer> {
  const isAway = (error: Error) => error instanceof CoppiceError && awayCodes.has(error.code);
  return retry(call, { mayPass: isAway, forMs: awayMs, pauseMs: againMs });
}
