import { buckets, streams } from '@coppice/contracts';
import { bucketsWithTtl } from './key-value.ts';
import { DiscardPolicy, JetStreamApiError, Kvm, Objm, RetentionPolicy, StorageType } from './nats.ts';
import type { JetStreamClient, JetStreamManager, StreamConfig } from './nats.ts';

export type ResourceOptions = { replicas?: number };

const nanoseconds = 1_000_000;
const days = (count: number) => count * 24 * 3_600_000 * nanoseconds;
const mebibytes = (count: number) => count * 1024 * 1024;
const streamNotFound = 10059;
const markerTtlMs = 3_600_000;
/** Room for a value of 256 KiB with its headers. */
const valueBytesMax = 300 * 1024;

const dedupeWindow = 120_000 * nanoseconds;

/** Work queues have no limit on age, count or size: it would silently delete timers and waiting work. (A stream with schedules can't refuse new messages instead.) */
const workQueue = (name: string, subjects: string[]): Partial<StreamConfig> & { name: string } => ({
  name,
  subjects,
  retention: RetentionPolicy.Workqueue,
  duplicate_window: dedupeWindow,
  allow_msg_schedules: true,
  allow_msg_ttl: true,
});

const log = (
  name: string,
  subjects: string[],
  rest: Partial<StreamConfig>,
): Partial<StreamConfig> & { name: string } => ({
  name,
  subjects,
  retention: RetentionPolicy.Limits,
  discard: DiscardPolicy.Old,
  duplicate_window: dedupeWindow,
  ...rest,
});

const definitions: readonly (Partial<StreamConfig> & { name: string })[] = [
  workQueue(streams.actors, ['coppice.actor.>', 'coppice.timer.>', 'coppice.stash.>']),
  workQueue(streams.commands, ['coppice.cmd.>', 'coppice.cmd-later.>']),
  workQueue(streams.intake, ['coppice.intake.*.run', 'coppice.intake-later.>']),
  log(streams.events, ['coppice.event.>'], { max_age: days(90), max_bytes: mebibytes(2_048) }),
  log(streams.transcripts, ['coppice.transcript.>'], { max_age: days(90), max_bytes: mebibytes(4_096) }),
  log(streams.logs, ['coppice.log.>'], { max_age: days(7), max_bytes: mebibytes(512), max_msgs_per_subject: 20_000 }),
  log(streams.deadLetters, ['coppice.deadletter.>'], { max_age: days(90), max_bytes: mebibytes(512) }),
];

/** Creates or updates every stream and bucket. Harmless when several processes do it at once. */
export async function ensureResources(
  jetStream: JetStreamClient,
  manager: JetStreamManager,
  options: ResourceOptions = {},
): Promise<void> {
  const replicas = options.replicas ?? 1;
  for (const definition of definitions) {
    await ensureStream(manager, { ...definition, num_replicas: replicas, storage: StorageType.File });
  }
  const keyValues = new Kvm(jetStream);
  for (const bucket of [buckets.actors, buckets.effects, buckets.members]) {
    await keyValues.create(bucket, {
      history: 1,
      replicas,
      storage: StorageType.File,
      maxValueSize: valueBytesMax,
      ...(bucketsWithTtl.includes(bucket) ? { markerTTL: markerTtlMs } : {}),
    });
  }
  await new Objm(jetStream).create(buckets.artifacts, { replicas, storage: StorageType.File });
}

async function ensureStream(
  manager: JetStreamManager,
  config: Partial<StreamConfig> & { name: string },
): Promise<void> {
  try {
    await manager.streams.update(config.name, config);
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || error.code !== streamNotFound) throw error;
    await manager.streams.add(config);
  }
}
