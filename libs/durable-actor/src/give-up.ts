import { deadLetter } from '@coppice/bus';
import type { Delivery } from '@coppice/bus';
import { CoppiceError, actorMessageSchema, subjects, toWireError } from '@coppice/contracts';
import type { ActorMessage, Outcome } from '@coppice/contracts';
import type { HostParts } from './host-parts.ts';
import { headerNames, requestOf } from './message-headers.ts';
import type { RequestOrigin } from './value.ts';

/**
 * Gives up on a message.
 *
 * Invariant 9: first the message is stored as a dead letter. Then the sender is notified of the failure. Then the
 * message is removed from the inbox. So no sender waits forever.
 */

/**
 * What the caller must do next. `park` means that the caller must park the actor. The message is then a timer, a
 * wake-up, or a failed result that already replaced another result.
 */
export type GivenUp = 'notified' | 'park';

export async function giveUp(
  parts: HostParts,
  kind: string,
  id: string,
  delivery: Delivery,
  reason: unknown,
): Promise<GivenUp> {
  const { bus, reach, log } = parts;
  log.error({ err: reason, subject: delivery.subject, deliveries: delivery.deliveryCount }, 'message given up on');
  await deadLetter(bus, delivery, 'actor', reason);
  await reach('dead-letter-stored');
  const outcome: Outcome = { status: 'failed', error: toWireError(reason) };
  const origin = requestOf(delivery.headers);
  if (origin !== null) await reportFailure(parts, origin, outcome);
  const message = messageOf(delivery);
  let left: GivenUp = 'notified';
  if (message?.type === 'event' && message.answerTo !== undefined) bus.publishCore(message.answerTo, outcome);
  if (message?.type === 'timer' || message?.type === 'wake') left = 'park';
  if (message?.type === 'result') {
    if (delivery.headers[headerNames.givenUp] !== undefined) left = 'park';
    else {
      const { effectId } = message;
      await reportFailure(parts, { effectId, replyTo: { kind, id } }, outcome, { [headerNames.givenUp]: '1' });
    }
  }
  await reach('failure-published');
  return left;
}

export async function reportFailure(
  { bus }: HostParts,
  { effectId, replyTo }: RequestOrigin,
  outcome: Outcome,
  headers: Record<string, string> = {},
): Promise<void> {
  const message: ActorMessage = { type: 'result', effectId, outcome };
  await bus.publish(subjects.actor(replyTo.kind, replyTo.id), message, { messageId: `${effectId}-failed`, headers });
}

export const deliveryLimitError = (deliveries: number): CoppiceError =>
  new CoppiceError('delivery-limit', `not handled in ${deliveries} deliveries`);

/** Returns null if the message is invalid. Its sender is then unknown. */
function messageOf(delivery: Delivery): ActorMessage | null {
  try {
    const parsed = actorMessageSchema.safeParse(delivery.json());
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
