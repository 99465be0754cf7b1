import { createHash } from 'node:crypto';
import { CoppiceError } from '@coppice/contracts';
import { openRepository, type Context } from '../context.ts';
import { checkBranchName } from '../repository/origin.ts';
import type { Store } from '../repository/store.ts';

const inputCharactersShown = 200;

export type ResolveSetupInput = { repository: string; baseBranch: string; inputs: string[] };

/**
 * Hashes the inputs of a setup at the base branch's current tip. Throws `branch-not-found`. Throws `invalid-request` if
 * an input isn't in the base. If the misspelt name of a lock file were accepted, changes of that file would never cause
 * a new setup.
 */
export async function resolveSetup(
  context: Context,
  input: ResolveSetupInput,
  signal?: AbortSignal,
): Promise<{ baseCommit: string; inputsHash: string; node: string }> {
  await checkBranchName(context.git, input.baseBranch, 'baseBranch');
  const { origin, store } = await openRepository(context, input.repository);
  const { tip } = await store.fetchTip(origin, input.baseBranch, 'baseBranch', signal);
  const objects = await inputObjects(context, store, tip, input.inputs, signal);
  const absent = [...objects].find(([, object]) => object === null)?.[0];
  if (absent !== undefined) {
    const field = 'setup.inputs';
    const expected = `a file of the base branch ${input.baseBranch}`;
    const received = absent.slice(0, inputCharactersShown);
    throw new CoppiceError('invalid-request', `${field}: expected ${expected}, got ${JSON.stringify(received)}`, {
      details: { issues: [{ field, expected, received }] },
    });
  }
  return { baseCommit: tip, inputsHash: hashOf(objects), node: context.node };
}

/**
 * Hashes the inputs' paths and their object ids in a tree. The id of an absent input is null. If there are no inputs,
 * hashes the whole tree.
 */
export async function hashInputs(
  context: Context,
  store: Store,
  tree: string,
  inputs: string[],
  signal?: AbortSignal,
): Promise<string> {
  return hashOf(await inputObjects(context, store, tree, inputs, signal));
}

const hashOf = (objects: Map<string, string | null>): string => {
  const hash = createHash('sha256');
  for (const entry of objects) hash.update(JSON.stringify(entry));
  return hash.digest('hex');
};

/** Reads the inputs' object ids in a tree, sorted by path. */
async function inputObjects(
  context: Context,
  store: Store,
  tree: string,
  inputs: string[],
  signal?: AbortSignal,
): Promise<Map<string, string | null>> {
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
  return new Map(
    paths.map((path, index) => {
      const object = objects[index] ?? '';
      return [path, /^[0-9a-f]+$/.test(object) ? object : null];
    }),
  );
}
