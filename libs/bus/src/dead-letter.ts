import { createHash } from 'node:crypto';
import { subjects, toWireError } from '@coppice/contracts';
import type { DeadLetter } from '@coppice/contracts';
import type { Bus } from './bus.ts';
import type { Delivery } from './consume.ts';

/** Larger messages are dead-lettered by their first part; what was lost is told. */
const keptBytesMax = 512 * 1024;

/**
 * Stores what was given up on, with the reason, before it is removed from its queue. Resolves when the server has it.
 * @param source one token that tells whose queue it was in.
 */
export async function deadLetter(bus: Bus, delivery: Delivery, source: string, reason: unknown): Promise<void> {
  const { data, subject } = delivery;
  const kept = data.subarray(0, keptBytesMax);
  const letter: DeadLetter = {
    subject,
    reason: toWireError(reason),
    deliveryCount: delivery.deliveryCount,
    publishedAt: delivery.publishedAt.toISOString(),
    deadAt: new Date().toISOString(),
    headers: delivery.headers,
    bytes: data.length,
    data: Buffer.from(kept).toString('base64'),
  };
  const identity = createHash('sha256').update(subject).update(String(delivery.sequence)).update(data).digest('hex');
  await bus.publish(subjects.deadLetter(source), letter, { messageId: identity });
}
