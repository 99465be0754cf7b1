/**
 * What a repository needs before work can begin (installed packages, say) is made once per key, in a sandbox, and then copied.
 *
 * Invariants:
 * 1. A sealed result is complete (it appears by a rename), is mounted nowhere, and never changes.
 * 2. The first attempt that is sealed wins; others are thrown away. Each task has an attempt of its own.
 */
import { chownSync, existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { CoppiceError, type Mount } from '@coppice/contracts';
import { z } from 'zod';
import { openRepository, storeOf, type Context } from '../context.ts';
import { byteString, bytesOf, handOver } from '../folders.ts';
import { safeName, sandboxPaths } from '../layout.ts';
import { commitId } from '../repository/origin.ts';
import { checkOut, listTree, sealedFolder } from '../worktree/checkout.ts';
import { writeFileAtomically } from '../worktree/snapshot.ts';

const attemptSchema = z.object({ repositoryId: z.string(), baseCommit: z.string() });
const sealSchema = z.object({ files: z.int() });

export type PrepareSetupInput = { taskId: string; repository: string; baseCommit: string; setupKey: string };
export type PreparedSetup = { status: 'sealed' } | { status: 'prepared'; mounts: Mount[]; node: string };

function attemptFolders(context: Context, setupKey: string, taskId: string) {
  const folder = join(context.layout.setup(setupKey), 'attempts', safeName(taskId, 'taskId'));
  return { folder, tree: join(folder, 'tree'), record: join(folder, 'record.json'), result: join(folder, 'result') };
}

const withSetup = <T>(context: Context, setupKey: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> =>
  context.locks.hold(`setup-${safeName(setupKey, 'setupKey')}`, work, { signal });

/** A checkout of the base, on which the setup command is run. */
export async function prepareSetup(
  context: Context,
  input: PrepareSetupInput,
  signal?: AbortSignal,
): Promise<PreparedSetup> {
  const baseCommit = commitId(input.baseCommit, 'baseCommit');
  if (existsSync(sealedFolder(context, input.setupKey))) return { status: 'sealed' };
  const { store } = await openRepository(context, input.repository);
  if (!store.exists || !(await store.has(baseCommit, signal)))
    throw new CoppiceError('not-found', `the commit ${baseCommit} is not in the stores of this repository`);
  const attempt = attemptFolders(context, input.setupKey, input.taskId);
  return context.locks.hold(
    `setup-${input.setupKey}-${input.taskId}`,
    async () => {
      if (!existsSync(attempt.record)) {
        context.trash.take(attempt.folder);
        mkdirSync(attempt.tree, { recursive: true, mode: 0o711 });
        await checkOut(context, {
          store,
          tree: baseCommit,
          folder: attempt.tree,
          gitOptions: { gitDir: store.tasksGit, indexFile: join(attempt.folder, 'index') },
          setup: null,
          signal,
        });
        writeFileAtomically(attempt.record, JSON.stringify({ repositoryId: store.repositoryId, baseCommit }));
      }
      const mounts = [{ source: attempt.tree, target: sandboxPaths.workspace, readOnly: false }];
      return { status: 'prepared' as const, mounts, node: context.node };
    },
    { signal },
  );
}

/** Keeps what isn't in the base tree. The caller's duty: the setup's sandbox is gone. Throws `not-found` where nothing was prepared. */
export async function sealSetup(
  context: Context,
  input: { taskId: string; setupKey: string },
  signal?: AbortSignal,
): Promise<{ files: number }> {
  return withSetup(
    context,
    input.setupKey,
    async () => {
      const sealed = sealedFolder(context, input.setupKey);
      const seal = join(context.layout.setup(input.setupKey), 'sealed.json');
      const attempt = attemptFolders(context, input.setupKey, input.taskId);
      if (!existsSync(sealed)) {
        if (!existsSync(attempt.record))
          throw new CoppiceError('not-found', `setup ${input.setupKey} was not prepared by this task`);
        const record = attemptSchema.parse(JSON.parse(readFileSync(attempt.record, 'utf8')));
        const tracked = await listTree(context, storeOf(context, record.repositoryId), record.baseCommit, signal);
        moveUntracked(context, attempt.tree, attempt.result, new Set(tracked.keys()));
        let files = 0;
        await handOver(attempt.result, null, { onFile: () => files++ });
        writeFileAtomically(seal, JSON.stringify({ files }));
        renameSync(attempt.result, sealed);
      }
      context.trash.take(attempt.folder);
      return sealSchema.parse(JSON.parse(readFileSync(seal, 'utf8')));
    },
    signal,
  );
}

/** Whole folders are moved at once; only those with tracked files in them are looked into. No link is followed. */
function moveUntracked(context: Context, tree: string, result: string, tracked: Set<string>): void {
  const trackedFolders = new Set<string>(['']);
  for (const path of tracked)
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1))
      trackedFolders.add(path.slice(0, end));
  const [from, to] = [byteString(tree), byteString(result)];
  const makeFolder = (folder: string) => {
    const path = bytesOf(folder === '' ? to : `${to}/${folder}`);
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return;
    mkdirSync(path, { recursive: true, mode: 0o755 });
    if (context.sandboxOwner !== null) chownSync(path, context.sandboxOwner.uid, context.sandboxOwner.gid);
  };
  const visit = (folder: string) => {
    for (const entry of readdirSync(bytesOf(folder === '' ? from : `${from}/${folder}`), {
      encoding: 'buffer',
      withFileTypes: true,
    })) {
      const name = entry.name.toString('latin1');
      const path = folder === '' ? name : `${folder}/${name}`;
      if (path === '.git' || tracked.has(path)) continue;
      if (trackedFolders.has(path)) {
        if (entry.isDirectory()) visit(path);
        continue;
      }
      makeFolder('');
      for (let end = path.indexOf('/'); end > 0; end = path.indexOf('/', end + 1)) makeFolder(path.slice(0, end));
      renameSync(bytesOf(`${from}/${path}`), bytesOf(`${to}/${path}`));
    }
  };
  makeFolder('');
  visit('');
}
