import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { bytesIn } from '../disk/space.ts';
import { date, fixture, runId, taskId, write, type Fixture } from '../test-support/fixture.ts';
import { checkpoint } from './import.ts';

/** Replaces the given git command by a script, in which `$real` is git. */
function replaceGit(f: Fixture, command: string, script: string): void {
  const folder = join(f.repository.path, '../replaced');
  const real = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim();
  mkdirSync(folder);
  const program = `#!/bin/sh\nreal='${real}'\ncase " $* " in *' ${command} '*) ${script};; esac\nexec "$real" "$@"\n`;
  writeFileSync(join(folder, 'git'), program);
  chmodSync(join(folder, 'git'), 0o755);
  vi.stubEnv('PATH', `${folder}:${process.env['PATH'] ?? ''}`);
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
}

const storeOf = (f: Fixture): string => {
  const [repositoryId = ''] = readdirSync(join(f.dataFolder, 'repositories'));
  return join(f.dataFolder, 'repositories', repositoryId, 'tasks.git');
};

const random = (bytes: number) => execFileSync('head', ['-c', `${bytes}`, '/dev/urandom'], { maxBuffer: bytes });

const checkpointOf = (f: Fixture, count = 1) =>
  checkpoint(f.context, { taskId, runId, effectId: `${taskId}_${count}`, date });

test.each([
  ['whose input ends early', () => 'head -c 3500000 | "$real" "$@"; exit'],
  [
    'that a signal ends',
    (dataFolder: string) => {
      const hasBegun = `[ -n "$(find '${dataFolder}' -name 'tmp_pack_*' -size +100k)" ]`;
      return `{ head -c 3500000; until ${hasBegun}; do sleep 0.02; done; kill -TERM 0; } | "$real" "$@"; exit`;
    },
  ],
])('an import %s leaves nothing in the store', async (_, script) => {
  await using f = await fixture();
  const { tree } = await f.prepared();
  for (let count = 1; count <= 6; count++) write(tree, `${count}.bin`, random(1_000_000));
  const objects = join(storeOf(f), 'objects');
  const before = await bytesIn(objects);
  replaceGit(f, 'fast-import', script(f.dataFolder));
  await expect(checkpointOf(f)).rejects.toMatchObject({ code: 'git-failed' });
  expect(await bytesIn(objects)).toBe(before);
  expect(existsSync(join(f.dataFolder, 'worktrees', taskId, 'import.git'))).toBe(false);
  vi.unstubAllEnvs();
  const { commit } = await checkpointOf(f);
  expect(await f.tasks('cat-file', '-s', `${commit}:6.bin`)).toBe('1000000');
  expect(await f.tasks('fsck', '--strict', '--no-dangling')).toBe('');
});

test('the bytes that a checkpoint has added count even if it fails after that', async () => {
  await using f = await fixture({ importLimits: { checkpointBytesMax: 2_500_000 } });
  const { tree } = await f.prepared();
  replaceGit(f, 'show', 'exit 1');
  const made: string[] = [];
  for (let count = 1; count <= 5; count++) {
    write(tree, 'random', random(1_000_000));
    made.push(
      await checkpointOf(f, count).then(
        () => 'refused',
        () => 'failed',
      ),
    );
  }
  expect(made).toEqual(['failed', 'failed', 'failed', 'refused', 'refused']);
});
