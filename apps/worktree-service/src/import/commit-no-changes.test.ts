import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { fixture, taskId, write, type Fixture } from '../test-support/fixture.ts';

/** Replaces git by a script that can run git as "$real". */
function replaceGit(f: Fixture, script: string): void {
  const folder = join(f.dataFolder, '../replaced');
  const real = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim();
  mkdirSync(folder);
  writeFileSync(join(folder, 'git'), `#!/bin/sh\nreal='${real}'\n${script}\nexec "$real" "$@"\n`);
  chmodSync(join(folder, 'git'), 0o755);
  vi.stubEnv('PATH', `${folder}:${process.env['PATH'] ?? ''}`);
  onTestFinished(() => void vi.unstubAllEnvs());
}

test('if a commit moves the branch but fails to reply, the next try, with another effect id, returns that commit', async () => {
  await using f = await fixture({ files: { 'README.md': '# x\n' } });
  const { tree, branch } = await f.prepared();
  write(tree, 'work.txt', 'work\n');
  const failed = join(f.dataFolder, '../failed');
  // Makes the first `ls-tree` after the refs have moved fail. The result needs this command.
  replaceGit(
    f,
    `case " $* " in
       *' update-ref --stdin '*) "$real" "$@"; code=$?; : > '${failed}.armed'; exit $code;;
       *' ls-tree '*) if [ -e '${failed}.armed' ] && [ ! -e '${failed}' ]; then : > '${failed}'; exit 128; fi;;
     esac`,
  );
  await expect(f.committed(taskId, `${taskId}_5`, ['verify.sh'])).rejects.toMatchObject({ retryable: true });
  expect(existsSync(failed)).toBe(true);
  const commit = await f.tasks('rev-parse', branch);
  const found = { status: 'committed', paths: ['work.txt'], commit };
  expect(await f.committed(taskId, `${taskId}_6`, ['verify.sh'])).toMatchObject(found);
  expect(await f.tasks('rev-parse', `refs/coppice/done/${taskId}_6`)).toBe(commit);
});

test('no commit is lost if git is killed between the two renames of its transaction', async () => {
  await using f = await fixture({ files: { 'README.md': '# x\n' } });
  const { tree } = await f.prepared();
  write(tree, 'work.txt', 'work\n');
  const first = await f.committed(taskId, `${taskId}_5`);
  // Deletes the second ref, as if git had been killed after it moved the branch.
  await f.tasks('update-ref', '-d', `refs/coppice/done/${taskId}_5`);
  expect(await f.committed(taskId, `${taskId}_5`)).toEqual(first);
});

test('the commit of an earlier life of the task is not returned for this life', async () => {
  await using f = await fixture({ files: { 'README.md': '# x\n' } });
  const { tree } = await f.prepared();
  write(tree, 'work.txt', 'work\n');
  await f.committed(taskId, `${taskId}_life1_5`);
  expect(await f.committed(taskId, `${taskId}_life2_5`)).toEqual({ status: 'no-changes', ignored: 0 });
});
