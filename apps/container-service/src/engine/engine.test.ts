/** Tests removals that can't delete some files. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EngineFixture } from './conformance-fixture.ts';
import { createEngine } from './engine.ts';
import { noneLauncher } from './none.ts';

const isRoot = process.getuid?.() === 0;
let fixture: EngineFixture;
let sandboxes: string;

beforeAll(async () => {
  fixture = await EngineFixture.start(({ stateFolder }) => noneLauncher({ stateFolder }));
  sandboxes = path.join(fixture.data, 'engine/sandboxes');
});
afterAll(() => fixture.stop());

/**
 * Makes a folder impossible to delete. Root can't delete a mount point. Other users can't delete anything in a
 * read-only folder.
 */
function makeResist(folder: string): Disposable {
  if (isRoot) execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', folder]);
  else chmodSync(sandboxes, 0o555);
  return {
    [Symbol.dispose]: () => {
      if (!isRoot) return chmodSync(sandboxes, 0o755);
      // Looks up the mount by its current path, since it moves with its parent folder.
      const places = execFileSync('mount', { encoding: 'utf8' })
        .split('\n')
        .map((line) => line.split(' ')[2] ?? '');
      for (const place of places.filter((each) => each.startsWith(`${sandboxes}/`))) execFileSync('umount', [place]);
    },
  };
}

async function engineWithTroubles() {
  const troubles: string[] = [];
  const stateFolder = path.join(fixture.data, 'engine');
  const engine = await createEngine({
    launcher: fixture.launcher,
    dataFolder: fixture.data,
    stateFolder,
    stackId: 'engine-test',
    probeImage: 'coppice/agent-runtime',
    onTrouble: (error, what) => troubles.push(`${what}: ${String(error)}`),
  });
  return { engine, troubles };
}

test("a command's result is returned even if the removal fails, and a later sweep removes the files", async () => {
  const { engine, troubles } = await engineWithTroubles();
  const spec = await fixture.specification();
  {
    using resisting = new DisposableStack();
    const result = await engine.run(spec, 'echo begun; while [ ! -e go ]; do sleep 0.05; done; exit 5', {
      onOutput: () => {
        const inHome = path.join(sandboxes, spec.id, 'home/in');
        mkdirSync(inHome);
        resisting.use(makeResist(inHome));
        writeFileSync(path.join(spec.workspace.source, 'go'), '');
      },
    });
    expect(result).toMatchObject({ exitCode: 5, stdout: { text: 'begun\n' } });
    expect(troubles).toHaveLength(1);
    expect(readdirSync(sandboxes)).toHaveLength(1);
  }
  // Without root, the sandbox's folder could not be renamed, so the removal is repeated before the sweep.
  if (!isRoot) await engine.remove(spec.id);
  await engine.sweep();
  expect(readdirSync(sandboxes)).toEqual([]);
  expect(troubles).toHaveLength(1);
});

test('an engine starts although it can not delete files of removed sandboxes', async () => {
  const remains = path.join(sandboxes, 'removed.before/in');
  mkdirSync(remains, { recursive: true });
  mkdirSync(path.join(sandboxes, 'removed.later'));
  {
    using _ = makeResist(remains);
    const { engine, troubles } = await engineWithTroubles();
    expect(troubles).toEqual(expect.arrayContaining([expect.stringContaining('removed.before')]));
    expect(readdirSync(sandboxes)).toContain('removed.before');
    expect(await engine.list({})).toEqual([]);
  }
  await engineWithTroubles();
  expect(readdirSync(sandboxes)).toEqual([]);
});
