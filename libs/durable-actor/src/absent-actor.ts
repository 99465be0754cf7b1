import type { Delivery } from '@coppice/bus';
import { CoppiceError, shortHash, subjects } from '@coppice/contracts';
import type { HostParts } from './host-parts.ts';
import { copiedHeaders, headerNames } from './message-headers.ts';

/**
 * Postpones an event for an actor that doesn't exist yet, since the actor's `create` may arrive later.
 *
 * Invariant 6: the event is copied to a scheduled message with a try count, then acknowledged. If the event were nak'ed
 * with a delay instead, it would stay pending and block other messages.
 */
export async function tryAgainLater(
  parts: HostParts,
  kind: string,
  id: string,
  messageId: string,
  delivery: Delivery,
): Promise<'copied' | CoppiceError> {
  const { bus, nowMs, limits, reach } = parts;
  const now = nowMs();
  const tries = Number(delivery.headers[headerNames.tries] ?? '0') + 1;
  const since = Number(delivery.headers[headerNames.triedSince] ?? String(now));
  if (!(tries <= limits.absentTriesMax) || !(now - since <= limits.absentAgeMsMax)) {
    return new CoppiceError('not-found', `there is no ${kind} ${id}`);
  }
  const delayMs = limits.absentDelayMsMin * 2 ** (tries - 1);
  const name = `retry-${shortHash(messageId)}`;
  await bus.publish(subjects.timer(kind, id, name), delivery.data, {
    messageId: `${name}-${kind}-${id}-${tries}`,
    schedule: { at: new Date(now + delayMs), target: subjects.actor(kind, id) },
    headers: {
      ...copiedHeaders(delivery.headers),
      [headerNames.tries]: String(tries),
      [headerNames.triedSince]: String(since),
    },
  });
  await reach('absent-copied');
  return 'copied';
}
