/**
 * Removal of sandboxes whose task has ended, at start and at intervals. Normally `sandbox.remove` removes a sandbox.
 * This module removes a sandbox if a lost or restored orchestrator never requested its removal, or if its `create` was
 * delivered again after the removal. Sandboxes of tasks that may still run are kept. If the orchestrator doesn't find
 * the task, the sandbox is removed only when it is older than `commandAgeMsMax`, the maximum time that a command may
 * wait.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bus } from '@coppice/bus';
import { commandAgeMsMax, orchestratorCalls, taskIdSchema } from '@coppice/contracts';
import type { Logger } from '@coppice/telemetry';
import type { Engine, SandboxInfo } from './engine/port.ts';

/** Maximum number of attempts per round. The orchestrator may start after this service. */
const asksMax = 20;
const askWaitMs = 15_000;
/** Time from the end of one round to the start of the next. */
const roundWaitMs = 15 * 60_000;
/** Age above which a log file must come from a killed process, since no command may run that long. */
const logAgeMsMax = 2 * 24 * 3_600_000;

export interface LeftoverSettings {
  bus: Bus;
  engine: Engine;
  stackId: string;
  logsFolder: string;
  log: Logger;
  signal: AbortSignal;
}

/** Runs rounds until aborted, the first immediately. Never throws. */
export async function keepRemovingLeftovers(settings: LeftoverSettings, waitMs = roundWaitMs): Promise<void> {
  const { engine, log, signal } = settings;
  while (!signal.aborted) {
    await removeLeftovers(settings);
    if (signal.aborted) return;
    await engine.sweep().catch((error: unknown) => log.warn({ err: error }, 'remains can not be deleted'));
    await removeOldLogs(settings.logsFolder).catch((error: unknown) =>
      log.warn({ err: error }, 'old logs can not be deleted'),
    );
    // An abort ends the wait. The loop then checks the signal.
    await sleep(waitMs, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

async function removeOldLogs(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const file = join(folder, name);
    // Another process may have removed the file.
    const status = await stat(file).catch(() => null);
    if (status !== null && Date.now() - status.mtimeMs > logAgeMsMax) await rm(file, { force: true });
  }
}

/**
 * Decides for each sandbox that exists at the start of the round whether to remove it. Gives up after `asksMax`
 * attempts without an answer. Never throws.
 */
export async function removeLeftovers({ bus, engine, stackId, log, signal }: LeftoverSettings): Promise<void> {
  let undecided: SandboxInfo[] = [];
  try {
    undecided = await engine.list({ stackId });
  } catch (error) {
    log.warn({ err: error }, 'sandboxes can not be listed');
  }
  for (let count = 0; count < asksMax && undecided.length > 0 && !signal.aborted; count++) {
    const later: SandboxInfo[] = [];
    for (const sandbox of undecided) {
      // Without an answer, the task may still exist. An orchestrator of an earlier version doesn't serve this call.
      const verdict = await judge(bus, sandbox).catch(() => 'ask-later' as const);
      if (verdict === 'ask-later') later.push(sandbox);
      if (verdict !== 'remove' || signal.aborted) continue;
      log.info({ sandboxId: sandbox.id, ...sandbox.labels }, 'removing a sandbox whose task has ended');
      await engine
        .remove(sandbox.id)
        .catch((error: unknown) => log.warn({ err: error }, 'a sandbox can not be removed'));
    }
    undecided = later;
    if (undecided.length > 0) await sleep(askWaitMs, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

/** @throws CoppiceError if the call fails. It is then unknown whether the task exists. */
async function judge(bus: Bus, { labels, createdAt }: SandboxInfo): Promise<'keep' | 'remove'> {
  const isOld = Date.now() - createdAt.getTime() > commandAgeMsMax;
  // The sandbox belongs to something other than a task, such as a setup.
  if (!taskIdSchema.safeParse(labels.taskId).success) return isOld ? 'remove' : 'keep';
  const { tenant, taskId } = labels;
  const { task } = await bus.call(orchestratorCalls.taskStatus, { service: 'orchestrator' }, { tenant, taskId });
  if (task === null) return isOld ? 'remove' : 'keep';
  return task.hasEnded ? 'remove' : 'keep';
}
