import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError, buckets, deadLettersKept, outputKept, streams, subjectFamilies } from '@coppice/contracts';
import type { KeyValue } from './key-value.ts';
import { busLimits } from './limits.ts';
import { DiscardPolicy, JetStreamApiError, Kvm, Objm, RetentionPolicy, StorageType } from './nats.ts';
import type { JetStreamClient, JetStreamManager, NatsObjectStore, StreamConfig } from './nats.ts';
import { retireScheduledIntake } from './retire-intake.ts';

export type ResourceOptions = { replicas?: number };
type Definition = Partial<StreamConfig> & { name: string };

const nanoseconds = 1_000_000;
const days = (count: number) => count * 24 * 3_600_000 * nanoseconds;
const mebibytes = (count: number) => count * 1024 * 1024;
const streamNotFound = 10059;
const storageExceeded = 10047;
const lookAgainMs = 200;
const markerTtlMs = 3_600_000;

const dedupeWindow = 120_000 * nanoseconds;

/**
 * A work queue. It has no limits on age, count or size, since they would silently delete timers and waiting work. The
 * server doesn't allow a stream with schedules to reject new messages instead.
 */
const workQueue = (name: string, subjects: string[]): Definition => ({
  name,
  subjects,
  retention: RetentionPolicy.Workqueue,
  duplicate_window: dedupeWindow,
  allow_msg_schedules: true,
  allow_msg_ttl: true,
});

/** Retention of streams that are not consumed. The oldest messages of all tenants together are evicted. */
export const retention = {
  [streams.events]: { days: 90, mebibytesMax: 2_048 },
  [streams.transcripts]: { days: 90, mebibytesMax: 4_096 },
  [streams.logs]: { days: outputKept.days, mebibytesMax: 512 },
  [streams.deadLetters]: { days: deadLettersKept.days, mebibytesMax: deadLettersKept.mebibytes },
} as const;
/** Retention of bundles. It is short, since bundles can be created again. */
export const bundlesKept = { days: 1, mebibytesMax: 512 } as const;
/** Retention of artifacts. It is longer than any task runs. Reading an evicted artifact fails with `not-found`. */
export const artifactsKept = { days: 90, mebibytesMax: 4_096 } as const;
/** Retention of response items. Documents for clients must name this time, since clients can't use older items. */
export const itemsKept = { hours: 12, mebibytesMax: 512 } as const;
type KeptStream = keyof typeof retention;

const kept = (name: KeptStream, subjects: string[]): Definition => ({
  name,
  subjects,
  retention: RetentionPolicy.Limits,
  discard: DiscardPolicy.Old,
  duplicate_window: dedupeWindow,
  max_age: days(retention[name].days),
  max_bytes: mebibytes(retention[name].mebibytesMax),
});

const { actor, timer, stash, command, commandLater, intake, intakeLater, intakeAgain } = subjectFamilies;
const { event, transcript, log: output, deadLetter } = subjectFamilies;

const intakeLaterDefinition = workQueue(streams.intakeLater, [intakeLater, intakeAgain]);
const definitions: readonly Definition[] = [
  workQueue(streams.actors, [actor, timer, stash]),
  workQueue(streams.commands, [command, commandLater]),
  { ...workQueue(streams.intake, [intake]), allow_msg_schedules: false },
  intakeLaterDefinition,
  kept(streams.events, [event]),
  kept(streams.transcripts, [transcript]),
  { ...kept(streams.logs, [output]), max_msgs_per_subject: outputKept.piecesMax },
  // This limit applies per source, and per tenant of the intake, so each of them evicts only its own letters.
  { ...kept(streams.deadLetters, [deadLetter]), max_msgs_per_subject: deadLettersKept.perSubjectMax },
];

/**
 * Size limits of buckets. A bucket that must never reject a write has no limit. A cache entry that doesn't fit isn't
 * stored.
 */
const bucketBytesMax: Readonly<Record<string, number>> = { [buckets.llmCache]: mebibytes(256) };
const keyValueBuckets = [
  buckets.actors,
  buckets.effects,
  buckets.members,
  buckets.budgets,
  buckets.gatewayKeys,
  buckets.llmCache,
];
export const keyValueStream = (bucket: string): string => `KV_${bucket}`;
export const objectStream = (bucket: string): string => `OBJ_${bucket}`;

/**
 * The stream of an object store that evicts its oldest objects when it is full. The client's own object stores reject
 * new objects instead, so one tenant could block all others by filling a store.
 */
const objects = (bucket: string, bounds: { days: number; mebibytesMax: number }): Definition => ({
  name: objectStream(bucket),
  subjects: [`$O.${bucket}.C.>`, `$O.${bucket}.M.>`],
  retention: RetentionPolicy.Limits,
  discard: DiscardPolicy.Old,
  allow_rollup_hdrs: true,
  max_age: days(bounds.days),
  max_bytes: mebibytes(bounds.mebibytesMax),
});
const bundles = objects(buckets.bundles, bundlesKept);
const artifacts: Definition = { ...objects(buckets.artifacts, artifactsKept), allow_direct: true };

/** The stream of a bucket that evicts its oldest values when it is full. */
const items: Definition = {
  name: keyValueStream(buckets.llmItems),
  subjects: [`$KV.${buckets.llmItems}.>`],
  retention: RetentionPolicy.Limits,
  discard: DiscardPolicy.Old,
  max_msgs_per_subject: 1,
  max_age: days(itemsKept.hours / 24),
  max_bytes: mebibytes(itemsKept.mebibytesMax),
};
/** Resources for which a starting service doesn't wait. */
const waitedForByNone: readonly string[] = [bundles.name, items.name];

/** Returns the names of all streams, including those of the buckets. */
export const streamNames = (): string[] => [
  ...definitions.map(({ name }) => name),
  ...keyValueBuckets.map(keyValueStream),
  artifacts.name,
  bundles.name,
  items.name,
];

/**
 * Creates or updates every stream and bucket. Several processes may run it at once.
 * @param locks the bucket of effects
 */
export async function ensureResources(
  jetStream: JetStreamClient,
  manager: JetStreamManager,
  locks: KeyValue,
  options: ResourceOptions = {},
): Promise<void> {
  const replicas = options.replicas ?? 1;
  const keyValues = new Kvm(jetStream);
  for (const bucket of keyValueBuckets) {
    await keyValues.create(bucket, {
      history: 1,
      replicas,
      storage: StorageType.File,
      maxValueSize: busLimits.valueBytesMax,
      ...(bucketBytesMax[bucket] === undefined ? {} : { max_bytes: bucketBytesMax[bucket] }),
      // Needed for keys with a time to live, which are claims, members, and tombstones of actors.
      markerTTL: markerTtlMs,
    });
  }
  const ensure = (definition: Definition): Promise<void> =>
    ensureStream(manager, { ...definition, num_replicas: replicas, storage: StorageType.File });
  await retireScheduledIntake({ jetStream, manager, locks, makeIntakeLater: () => ensure(intakeLaterDefinition) });
  for (const definition of definitions) await ensure(definition);
  await ensure(bundles);
  await ensure(items);
  await ensure(artifacts).catch(async (error: unknown) => {
    if (!(error instanceof JetStreamApiError) || error.code !== storageExceeded) throw error;
    // The server reserves a stream's maximum size on disk. Earlier versions had no limit for this stream, so an upgrade
    // must also work on a small disk.
    await ensure({ ...artifacts, max_bytes: -1 });
  });
}

/**
 * Waits until the orchestrator has created every stream and bucket that a service needs to start. Doesn't wait for
 * bundles and response items, since an upgrade replaces the orchestrator last.
 * @throws CoppiceError `unavailable`, which names the missing stream, after `waitMs`
 * @throws the signal's reason
 */
export async function awaitResources(
  manager: JetStreamManager,
  options: { waitMs: number; signal?: AbortSignal },
): Promise<void> {
  const end = Date.now() + options.waitMs;
  for (const name of streamNames().filter((each) => !waitedForByNone.includes(each))) {
    while (!(await isThere(manager, name))) {
      if (Date.now() + lookAgainMs > end) {
        const text = `the stream ${name} is not there, ${options.waitMs} ms after the start: the orchestrator makes it; does one run?`;
        throw new CoppiceError('unavailable', text);
      }
      await sleep(lookAgainMs, undefined, options.signal === undefined ? {} : { signal: options.signal });
    }
  }
}

/** @throws CoppiceError `unavailable` when the bucket doesn't exist yet */
export async function openStore(
  jetStream: JetStreamClient,
  manager: JetStreamManager,
  bucket: string,
): Promise<NatsObjectStore> {
  if (await isThere(manager, objectStream(bucket))) return new Objm(jetStream).open(bucket, false);
  const text = `the object store ${bucket} is not there: an orchestrator of this version makes it`;
  throw new CoppiceError('unavailable', text);
}

/** Returns the used share, 0 to 1, of each stream's size limit on the server, or 0 if there is no limit. */
export async function readFullness(manager: JetStreamManager): Promise<{ stream: string; share: number }[]> {
  return Promise.all(
    [...Object.keys(retention), artifacts.name].map(async (stream) => {
      const { config, state } = await manager.streams.info(stream);
      return { stream, share: config.max_bytes > 0 ? state.bytes / config.max_bytes : 0 };
    }),
  );
}

async function isThere(manager: JetStreamManager, name: string): Promise<boolean> {
  try {
    await manager.streams.info(name);
    return true;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === streamNotFound) return false;
    throw error;
  }
}

async function ensureStream(manager: JetStreamManager, config: Definition): Promise<void> {
  try {
    await manager.streams.update(config.name, config);
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || error.code !== streamNotFound) throw error;
    await manager.streams.add(config);
  }
}
