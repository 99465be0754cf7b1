import { streams } from '@coppice/contracts';
import { JetStreamApiError } from './nats.ts';
import type { ConsumerInfo, JetStreamManager } from './nats.ts';

/** State of one work queue, as its durable consumer reports it. */
export type Queue = {
  /** The durable consumer's name. */
  name: string;
  /** Number of messages that were not delivered yet. */
  waiting: number;
  /** Number of messages that were delivered and not acknowledged. */
  inProgress: number;
  /** Number of the messages in progress that were delivered more than once. */
  redelivered: number;
  /** Age of the oldest message that was not delivered yet. Null if there is none. */
  oldestAgeMs: number | null;
};

export const workQueues = [streams.actors, streams.commands, streams.intake, streams.intakeLater] as const;
const noMessageFound = 10037;

/** Returns all work queues, also those from which no process pulls now. */
export async function readQueues(manager: JetStreamManager): Promise<Queue[]> {
  const queues: Queue[] = [];
  for (const stream of workQueues) {
    for await (const info of manager.consumers.list(stream)) queues.push(await queueOf(manager, stream, info));
  }
  return queues;
}

async function queueOf(manager: JetStreamManager, stream: string, info: ConsumerInfo): Promise<Queue> {
  return {
    name: info.name,
    waiting: info.num_pending,
    inProgress: info.num_ack_pending,
    redelivered: info.num_redelivered,
    oldestAgeMs: info.num_pending === 0 ? null : await oldestAgeMs(manager, stream, info),
  };
}

async function oldestAgeMs(manager: JetStreamManager, stream: string, info: ConsumerInfo): Promise<number | null> {
  const [subject] = info.config.filter_subjects ?? [info.config.filter_subject ?? '>'];
  // The server accepts `seq` and `next_by_subj` together, but the client's type doesn't.
  const next = { seq: info.delivered.stream_seq + 1, next_by_subj: subject } as { seq: number };
  try {
    const stored = await manager.streams.getMessage(stream, next);
    return stored === null ? null : Math.max(0, Date.now() - stored.time.getTime());
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === noMessageFound) return null;
    throw error;
  }
}
