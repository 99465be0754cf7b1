import { createHash } from 'node:crypto';
import { subjects, toWireError } from '@coppice/contracts';
import type { DeadLetter, WireError } from '@coppice/contracts';
import type { Bus } from './bus.ts';
import type { Delivery } from './consume.ts';
import { busLimits } from './limits.ts';

const { letterDataBytesMax, letterHeadersBytesMax, letterReasonBytesMax, errorTextCharactersMax } = busLimits;

type DeadLetterOptions = {
  /** The tenant, if the tenant itself sent the message. */
  tenant?: string;
  /** Maximum number of bytes of the message's data to keep. Default and upper limit: `busLimits.letterDataBytesMax`. */
  keptBytesMax?: number;
};

/**
 * Stores a message that no process will try again, with the reason, as a dead letter. Resolves when the server has
 * stored the letter, so that the caller can remove the message from its queue. If the data is too large for one
 * message, only its first part is kept. `bytes` is the full size.
 * @param source name of the queue's owner, as one subject token
 */
export async function deadLetter(
  bus: Bus,
  delivery: Delivery,
  source: string,
  reason: unknown,
  { tenant, keptBytesMax = letterDataBytesMax }: DeadLetterOptions = {},
): Promise<void> {
  const { data, subject } = delivery;
  const letter: DeadLetter = {
    subject,
    reason: fittingReason(toWireError(reason)),
    deliveryCount: delivery.deliveryCount,
    publishedAt: delivery.publishedAt.toISOString(),
    deadAt: new Date().toISOString(),
    ...fittingHeaders(delivery.headers),
    bytes: data.length,
    data: '',
  };
  const roomBytes = bus.payloadBytesMax - busLimits.payloadReserveBytes - bytesOf(letter);
  // Three bytes take four characters in base64.
  const kept = data.subarray(0, Math.max(0, Math.min(keptBytesMax, letterDataBytesMax, Math.floor(roomBytes / 4) * 3)));
  letter.data = Buffer.from(kept).toString('base64');
  const identity = createHash('sha256').update(subject).update(String(delivery.sequence)).update(data).digest('hex');
  await bus.publish(subjects.deadLetter(source, tenant), letter, { messageId: identity });
}

/** Returns the size of a value as JSON, in bytes. This includes escapes, such as six bytes for a control character. */
const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

function fittingHeaders(headers: Record<string, string>): Pick<DeadLetter, 'headers' | 'headersLeftOut'> {
  const kept: [string, string][] = [];
  let bytes = 0;
  let leftOut = 0;
  for (const header of Object.entries(headers)) {
    const more = bytesOf(header);
    if (bytes + more > letterHeadersBytesMax) leftOut++;
    else {
      bytes += more;
      kept.push(header);
    }
  }
  return { headers: Object.fromEntries(kept), ...(leftOut === 0 ? {} : { headersLeftOut: leftOut }) };
}

function fittingReason(reason: WireError): WireError {
  if (bytesOf(reason) <= letterReasonBytesMax) return reason;
  const { code, message, retryable } = reason;
  return { code, message: message.slice(0, errorTextCharactersMax), retryable };
}
