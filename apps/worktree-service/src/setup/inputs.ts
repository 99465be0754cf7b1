import { createHash } from 'node:crypto';
import { CoppiceError } from '@coppice/contracts';
import { openRepository, type Context } from '../context.ts';
import { checkBranchName } from '../repository/origin.ts';
import type { Store } from '../repository/store.ts';

export type ResolveSetupInput = { repository: string; baseBranch: string; inputs: string[] };

/** What a setup of the base branch's present tip would be made from. Throws `branch-not-found`. */
export async function resolveSetup(
  context: Context,
  input: ResolveSetupInput,
  signal?: AbortSignal,
): Promise<{ baseCommit: string; inputsHash: string }> {
  await checkBranchName(context.git, input.baseBranch, 'baseBranch');
  const { origin, store } = await openRepository(context, input.repository);
  const { tip } = await store.fetchTip(origin, input.baseBranch, 'baseBranch', signal);
  return { baseCommit: tip, inputsHash: await hashInputs(context, store, tip, input.inputs, signal) };
}

/** Over the inputs' paths and object ids in a tree (absent ones count as absent); over the whole tree where there are none. */
export async function hashInputs(
  context: Context,
  store: Store,
  tree: string,
  inputs: string[],
  signal?: AbortSignal,
): Promise<string> {
  const paths = inputs.length === 0 ? [''] : [...new Set(inputs)].toSorted();
  const unusable = paths.find((path) => path.includes('\n') || path.includes('\0'));
  if (unusable !== undefined)
    throw new CoppiceError('invalid-request', `inputs: expected paths, got ${JSON.stringify(unusable.slice(0, 100))}`);
  const { stdout } = await context.git.run(['cat-file', '--batch-check=%(objectname)'], {
    ...store.tasks,
    input: paths.map((path) => `${tree}:${path}\n`).join(''),
    signal,
  });
  const objects = stdout.toString('utf8').split('\n');
  const hash = createHash('sha256');
  for (const [index, path] of paths.entries()) {
    const object = objects[index] ?? '';
    hash.update(JSON.stringify([path, /^[0-9a-f]+$/.test(object) ? object : null]));
  }
  return hash.digest('hex');
}
