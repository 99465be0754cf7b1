import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { streams, subjects, tenantOf } from '@coppice/contracts';
import { headersOf } from './consume.ts';
import { RevisionConflict } from './errors.ts';
import type { KeyValue } from './key-value.ts';
import { JetStreamApiError, headers } from './nats.ts';
import type { JetStreamClient, JetStreamManager, StoredMsg, StreamInfo } from './nats.ts';

/**
 * Migrates the intake stream of an earlier version. That stream allowed schedules, which the server can't switch off. The stream is recreated, and its waiting
 * messages move to the stream `intakeLater`.
 *
 * Invariants:
 * 1. The old stream is closed to publishers before it is emptied, and deleted only when it is empty. Until the new stream exists, a publisher gets no
 *    acknowledgement, and so knows that its request was not stored.
 * 2. A message is deleted after its copy is stored. After a crash between the two, a second copy is made. That does no harm, since both copies request the same
 *    run.
 * 3. Only one process at a time migrates the stream, since a second process could otherwise delete the new stream.
 */
const lock = 'retire-intake';
const lockMs = 30_000;
const lookAgainMs = 200;
const streamNotFound = 10059;
const noMessageFound = 10037;
/** A subject that no publisher uses. */
const closedSubject = 'coppice.intake-retired';

type Parts = {
  jetStream: JetStreamClient;
  manager: JetStreamManager;
  /** The bucket that holds the lock. */
  locks: KeyValue;
  /** Makes the stream `intakeLater`. Its subjects belong to the old intake stream until the old stream is closed. */
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

/** @param renew fails when another process has taken the lock. */
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
    // The server's API accepts `seq` and `next_by_subj` together; the client's type doesn't.
    return await manager.streams.getMessage(streams.intake, { seq: 1, next_by_subj: '>' } as { seq: number });
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === noMessageFound) return null;
    throw error;
  }
}

/** Republishes the message as a schedule that is due now. */
async function moveOn(jetStream: JetStreamClient, stored: StoredMsg): Promise<void> {
  const tenant = tenantOf(stored.subject);
  const kept = headers();
  // The server's own headers would mark the copy as a duplicate, or schedule it for a target that no longer exists.
  for (const [name, value] of Object.entries(headersOf(stored.header))) {
    if (!name.startsWith('Nats-')) kept.set(name, value);
  }
  await jetStream.publish(subjects.intakeLater(tenant, `retired-${stored.seq}`), stored.data, {
    headers: kept,
    schedule: { specification: { at: new Date() }, target: subjects.intakeAgain(tenant) },
  });
}
