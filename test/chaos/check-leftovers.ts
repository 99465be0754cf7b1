/** Finds everything that remains after all tasks have ended and isn't kept on purpose. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { buckets, streams } from '@coppice/contracts';
import type { TemporaryRepository } from '@coppice/testing';
import { processesWith } from './processes.ts';
import type { ChaosSystem } from './system.ts';

const runFile = promisify(execFile);

export type Leftovers = {
  processes: string[];
  mounts: string[];
  containers: string[];
  folders: string[];
  locks: string[];
  refs: string[];
  messages: string[];
  claims: string[];
  deadLetters: string[];
};

/** Subfolders of the data folder that must be empty when no task and no command runs. */
const emptyAtRest = [
  'worktree-service/worktrees',
  'worktree-service/checkouts',
  'worktree-service/trash',
  'container-service/sandboxes',
];
/** Refs that a store keeps on purpose. */
const keptRefs =
  /^refs\/(heads|tags|remotes|fetched)\/|^refs\/coppice\/(done|merge|merged|candidate|rescue|landed|superseded)\//;

/** Finds leftovers while the services run. */
export async function leftOfTasks(
  system: ChaosSystem,
): Promise<Pick<Leftovers, 'containers' | 'folders' | 'refs' | 'messages' | 'claims' | 'deadLetters'>> {
  return {
    containers: await containersOf(system),
    folders: emptyAtRest.flatMap((folder) =>
      entriesOf(path.join(system.dataFolder, folder)).map((name) => `${folder}/${name}`),
    ),
    refs: await refsLeft(system),
    messages: await messagesLeft(system),
    claims: await claimsLeft(system),
    deadLetters: await deadLetters(system),
  };
}

/** Finds git's lock files in the stores and in the users' repositories. */
export const locksLeft = (system: ChaosSystem, repositories: readonly TemporaryRepository[]): string[] =>
  [system.dataFolder, ...repositories.map((repository) => repository.path)].flatMap(lockFilesUnder);

/** Finds leftovers after the services have ended. */
export function leftOfServices(system: ChaosSystem): Pick<Leftovers, 'processes' | 'mounts'> {
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .filter((line) => (line.split(' ')[1] ?? '').startsWith(`${system.dataFolder}/`));
  return { processes: processesOf(system), mounts };
}

const processesOf = ({ mark }: ChaosSystem): string[] =>
  processesWith(mark).map(({ pid, commandLine }) => `${pid}: ${commandLine.slice(0, 200)}`);

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Skips Coppice's own lock files. Coppice never removes those, since the kernel releases the locks. */
function lockFilesUnder(folder: string): string[] {
  const found: string[] = [];
  const walk = (current: string): void => {
    for (const entry of readdirSync(current, { withFileTypes: true })) {
      const full = path.join(current, entry.name);
      if (entry.isDirectory()) walk(full);
      else if (entry.name.endsWith('.lock') && !full.includes('/worktree-service/locks/')) found.push(full);
    }
  };
  walk(folder);
  return found;
}

async function containersOf({ dataFolder, engine }: ChaosSystem): Promise<string[]> {
  const stackId = read(path.join(dataFolder, 'container-service/stack-id')).trim();
  if (stackId === '' || engine !== 'docker') return [];
  const { stdout } = await runFile('docker', [
    'ps',
    '--all',
    '--filter',
    `label=coppice.stack=${stackId}`,
    '--format',
    '{{.ID}} {{.Labels}}',
  ]);
  return stdout.split('\n').filter(Boolean);
}

async function refsLeft({ dataFolder }: ChaosSystem): Promise<string[]> {
  const stores = path.join(dataFolder, 'worktree-service/repositories');
  const left: string[] = [];
  // Names with a dot belong to stores whose creation was interrupted. They are removed after 15 minutes.
  for (const repository of entriesOf(stores).filter((name) => !name.includes('.'))) {
    for (const store of ['tasks.git', 'origin.git']) {
      const { stdout } = await runFile('git', [
        '-c',
        'safe.directory=*',
        '--git-dir',
        path.join(stores, repository, store),
        'for-each-ref',
        '--format=%(refname)',
      ]);
      left.push(...stdout.split('\n').filter((ref) => ref !== '' && !keptRefs.test(ref)));
    }
  }
  return left;
}

async function messagesLeft({ bus }: ChaosSystem): Promise<string[]> {
  const left: string[] = [];
  for (const stream of [streams.commands, streams.actors, streams.intake, streams.intakeLater])
    for await (const { subject } of bus.browse(stream, '>')) left.push(`${stream}: ${subject}`);
  return left;
}

async function claimsLeft({ bus }: ChaosSystem): Promise<string[]> {
  const left: string[] = [];
  for await (const message of bus.read(`KV_${buckets.effects}`, `$KV.${buckets.effects}.>`)) {
    if ('KV-Operation' in message.headers || 'Nats-Marker-Reason' in message.headers) continue;
    const { state } = message.json() as { state?: string };
    if (state === 'started') left.push(message.subject);
  }
  return left;
}

async function deadLetters({ bus }: ChaosSystem): Promise<string[]> {
  const letters: string[] = [];
  for await (const { subject, data } of bus.read(streams.deadLetters, 'coppice.deadletter.>'))
    letters.push(`${subject}: ${new TextDecoder().decode(data).slice(0, 300)}`);
  return letters;
}
