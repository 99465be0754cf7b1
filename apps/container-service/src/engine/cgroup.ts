/**
 * Control groups for engines that don't create their own. This process needs write access to the control group folders,
 * which usually only root has. Without this access, no group is created, and the probe reports the limits as not
 * enforced.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { retry } from '@coppice/service';
import type { Limits } from './port.ts';

const root = '/sys/fs/cgroup';
const parent = 'coppice';
const periodUs = 100_000;
/** Maximum number of attempts to remove a group. The kernel refuses until it has reaped the group's last process. */
const removeTries = 40;
const removeWaitMs = 25;
const leftoverAgeMsMin = 10 * 60_000;

export interface ControlGroup {
  /** Files to which a process writes its id to join the group. Its children then belong to the group too. */
  processFiles: string[];
  counts(): Promise<{ oomKills: number; throttledPeriods: number }>;
  remove(): Promise<void>;
}

/** Creates a group with the limits that this host supports. */
export async function createControlGroup(name: string, limits: Limits): Promise<ControlGroup> {
  const quotaUs = Math.max(1_000, Math.round(limits.cpus * periodUs));
  const unified = existsSync(join(root, 'cgroup.controllers'));
  const wanted: { controller: string; settings: [file: string, value: string][] }[] = unified
    ? [
        {
          controller: '',
          settings: [
            ['memory.max', String(limits.memoryBytes)],
            ['memory.swap.max', '0'],
            ['pids.max', String(limits.pids)],
            ['cpu.max', `${quotaUs} ${periodUs}`],
          ],
        },
      ]
    : [
        {
          controller: 'memory',
          settings: [
            ['memory.limit_in_bytes', String(limits.memoryBytes)],
            ['memory.memsw.limit_in_bytes', String(limits.memoryBytes)],
          ],
        },
        { controller: 'pids', settings: [['pids.max', String(limits.pids)]] },
        {
          controller: 'cpu',
          settings: [
            ['cpu.cfs_period_us', String(periodUs)],
            ['cpu.cfs_quota_us', String(quotaUs)],
          ],
        },
      ];
  if (unified) await delegateControllers();
  const folders: string[] = [];
  for (const { controller, settings } of wanted) {
    const folder = join(root, controller, parent, name);
    try {
      await mkdir(folder, { recursive: true });
    } catch {
      continue;
    }
    folders.push(folder);
    // The kernel may lack a setting, for example the one for swap. The probe then reports the limit as not enforced.
    for (const [file, value] of settings) await writeFile(join(folder, file), value).catch(() => undefined);
  }
  return {
    processFiles: folders.map((folder) => join(folder, 'cgroup.procs')),
    counts: async () => ({
      oomKills: await countIn(folders, unified ? 'memory.events' : 'memory.oom_control', 'oom_kill'),
      throttledPeriods: await countIn(folders, 'cpu.stat', 'nr_throttled'),
    }),
    remove: async () => {
      for (const folder of folders) await removeGroup(folder);
    },
  };
}

/**
 * Enables the controllers for child groups. In the unified hierarchy, a group has only the controllers that all its
 * ancestors enable.
 */
async function delegateControllers(): Promise<void> {
  await mkdir(join(root, parent), { recursive: true }).catch(() => undefined);
  for (const folder of [root, join(root, parent)]) {
    for (const controller of ['memory', 'pids', 'cpu']) {
      await writeFile(join(folder, 'cgroup.subtree_control'), `+${controller}`).catch(() => undefined);
    }
  }
}

/**
 * Returns the number in the line `name number` of a file. Uses the first folder that has such a line. Returns 0 if
 * there is none.
 */
async function countIn(folders: readonly string[], file: string, name: string): Promise<number> {
  for (const folder of folders) {
    const text = await readFile(join(folder, file), 'utf8').catch(() => '');
    const line = text.split('\n').find((each) => each.startsWith(`${name} `));
    if (line !== undefined) return Number(line.slice(name.length + 1));
  }
  return 0;
}

async function removeGroup(folder: string): Promise<void> {
  const isBusy = (error: Error) => 'code' in error && error.code === 'EBUSY';
  const options = { mayPass: isBusy, triesMax: removeTries, pauseMs: removeWaitMs };
  await retry(() => rmdir(folder), options).catch(() => undefined);
}

/**
 * Removes empty groups that a crash left. The kernel refuses to remove a group in use. Keeps groups younger than
 * `leftoverAgeMsMin`, since a command of another stack may be about to join one.
 */
export async function sweepControlGroups(): Promise<void> {
  const folders = ['', 'memory', 'pids', 'cpu'].map((controller) => join(root, controller, parent));
  for (const folder of folders) {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const group = join(folder, entry.name);
      const madeAtMs = await stat(group).then(
        ({ mtimeMs }) => mtimeMs,
        () => Infinity,
      );
      if (!entry.isDirectory() || Date.now() - madeAtMs < leftoverAgeMsMin) continue;
      await rmdir(group).catch(() => undefined);
    }
  }
}
