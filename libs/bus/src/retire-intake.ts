import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { streams, subjects, tenantOf } from '@coppice/contracts';
import { headersOf } from './consume.ts';
import { RevisionConflict } from './errors.ts';
import type { KeyValue } from './key-value.ts';
import { JetStreamApiError, headers } from './nats.ts';
import type { JetStreamClient, JetStreamManager, StoredMsg, StreamInfo } from './nats.ts';

/**
 * Migrates the intake stream of an earlier version. That stream allowed schedules, which the server can't switch off.
 * So the stream is deleted, and its messages move to the stream `intakeLater`.
 *
 * Invariants:
 * 1. The old stream is closed to publishers before it is emptied, and deleted only when it is empty. Until the new
 *    stream exists, publishers get no acknowledgement, so they know that their requests were not stored.
 * 2. A message is deleted after its copy is stored. A crash between the two leads to a second copy. Both copies request
 *    the same run, so this does no harm.
 * 3. Only one process at a time migrates the stream. Otherwise a second process could delete the new stream.
 */
const lock = 'retire-intake';
const lockMs = 30_000;
const lookAgainMs = 200;
const streamNotFound = 10059;
const noMessageFound = 10037;
/** Subject that no publisher uses. */
const closedSubject = 'coppice.intake-retired';

type Parts = {
  jetStream: JetStreamClient;
  manager: JetStreamManager;
  /** Bucket with the lock. */
  locks: KeyValue;
  /**
   * Creates the stream `intakeLater`. Must be called after the old stream is closed, since until then that stream has
   * these subjects.
   */
  makeIntakeLater: () => Promise<void>;
};

export async function retireScheduledIntake(parts: Parts): Promise<void> {
  const { manager, locks } = parts;
  const owner = new TextEncoder().encode(randomBytes(6).toString('hex'));
  while ((await findScheduled(manager)) !== null) {
    try {
      let revision = await locks.create(lock, owner, { ttlMs: lockMs });
      const renew = async () => {
        revision = await locks.update(lock, owner, revision, { ttlMs: lockMs });
      };
      await retire(parts, renew);
      await locks.delete(lock);
    } catch (error) {
      if (!(error instanceof RevisionConflict)) throw error;
      await sleep(lookAgainMs);
    }
  }
}

async function findScheduled(manager: JetStreamManager): Promise<StreamInfo | null> {
  try {
    const info = await manager.streams.info(streams.intake);
    return info.config.allow_msg_schedules === true ? info : null;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === streamNotFound) return null;
    throw error;
  }
}

/** @param renew fails when another process has taken the lock */
async function retire({ jetStream, manager, makeIntakeLater }: Parts, renew: () => Promise<void>): Promise<void> {
  if ((await findScheduled(manager)) === null) return;
  await manager.streams.update(streams.intake, { subjects: [closedSubject] });
  await makeIntakeLater();
  for (;;) {
    const stored = await first(manager);
    if (stored === null) break;
    await renew();
    await moveOn(jetStream, stored);
    await manager.streams.deleteMessage(streams.intake, stored.seq, false);
  }
  await renew();
  await manager.streams.delete(streams.intake);
}

async function first(manager: JetStreamManager): Promise<StoredMsg | null> {
  try {
    // The server accepts `seq` and `next_by_subj` together, but the client's type doesn't.
    return await manager.streams.getMessage(streams.intake, { seq: 1, next_by_subj: '>' } as { seq: number });
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === noMessageFound) return null;
    throw error;
  }
}

/** Publishes the message again, as a schedule that is due now. */
async function moveOn(jetStream: JetStreamClient, stored: StoredMsg): Promise<void> {
  const tenant = tenantOf(stored.subject);
  const kept = headers();
  // The server's own headers are dropped. They would mark the copy as a duplicate or schedule it for a target that no
  // longer exists.
  for (const [name, value] of Object.entries(headersOf(stored.header))) {
    if (!name.startsWith('Nats-')) kept.set(name, value);
  }
  await jetStream.publish(subjects.intakeLater(tenant, `retired-${stored.seq}`), stored.data, {
    headers: kept,
    schedule: { specification: { at: new Date() }, target: subjects.intakeAgain(tenant) },
  });
}
