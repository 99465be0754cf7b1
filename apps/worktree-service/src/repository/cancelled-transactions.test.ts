/** Tests that ref transactions and checkpoints cancelled at random moments leave no lock file in the store. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { openRepository } from '../context.ts';
import { checkpoint } from '../import/import.ts';
import { date, fixture, runId, taskId, write, type Fixture } from '../test-support/fixture.ts';

/** Number of refs. Each ref is changed by two transactions. */
const refs = 250;
const atOnce = 8;

/** Lists the lock files in both stores, and files that git would rename to packed-refs. */
const lockFiles = (f: Fixture): string[] =>
  (readdirSync(join(f.dataFolder, 'repositories'), { recursive: true }) as string[]).filter((name) =>
    /\.(lock|new)$/.test(name),
  );

/** Returns a signal that is aborted at a random moment within the next `msMax` milliseconds. */
function abortedSoon(msMax: number): AbortSignal {
  const abort = new AbortController();
  void sleep(Math.random() * msMax).then(() => abort.abort());
  return abort.signal;
}

/** Waits for work that may fail only if the signal was aborted. */
async function unlessAborted(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

test('500 ref transactions cancelled at random moments leave no lock', async () => {
  await using f = await fixture();
  await f.prepared();
  const { store } = await openRepository(f.context, f.address);
  const commit = (await store.resolve(`refs/heads/coppice/${taskId}/slug`)) ?? '';
  let [started, cancelled] = [0, 0];
  const worker = async () => {
    while (started < refs) {
      const ref = `refs/coppice/checkpoint/${started++}`;
      // The deletion locks packed-refs too.
      for (const command of [`update ${ref} ${commit}`, `delete ${ref}`]) {
        const signal = abortedSoon(12);
        await unlessAborted(store.updateRefs([command], signal), signal);
        if (signal.aborted) cancelled++;
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  expect(cancelled).toBeGreaterThan(0);
  expect(lockFiles(f)).toEqual([]);
}, 300_000);

test('checkpoints cancelled at random moments leave no lock, and the next one succeeds', async () => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  const keep = (number: number, signal?: AbortSignal) =>
    checkpoint(f.context, { taskId, runId, effectId: `checkpoint_${number}`, date }, signal);
  for (let number = 0; number < 40; number++) {
    write(tree, 'file.txt', `${number}`);
    const signal = abortedSoon(60);
    await unlessAborted(keep(number, signal), signal);
  }
  expect(lockFiles(f)).toEqual([]);
  expect((await keep(40)).commit).toMatch(/^[0-9a-f]{40}$/);
}, 300_000);
