/** Tests an agent's use of git in a real sandbox with the mounts that `prepare` returns. */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Mount } from '@coppice/contracts';
import { expect, test } from 'vitest';
import { fixture, taskId } from '../test-support/fixture.ts';

const run = promisify(execFile);
const cached = join(import.meta.dirname, '../../../../.cache/bin/bwrap');
const program = existsSync(cached) ? cached : 'bwrap';

const system = ['usr', 'bin', 'sbin', 'lib', 'lib64', 'etc']
  .filter((folder) => existsSync(`/${folder}`))
  .flatMap((folder) => ['--ro-bind', `/${folder}`, `/${folder}`]);

function sandboxArguments(mounts: Mount[], script: string): { file: string; args: string[] } {
  const binds = mounts.flatMap(({ source, target, readOnly }) => [readOnly ? '--ro-bind' : '--bind', source, target]);
  const args = [
    '--unshare-all',
    ...system,
    '--proc',
    '/proc',
    '--ro-bind',
    '/proc/sys',
    '/proc/sys',
    '--dev',
    '/dev',
    '--tmpfs',
    '/tmp',
    ...binds,
    '--chdir',
    '/workspace',
    '--setenv',
    'HOME',
    '/tmp',
    'sh',
    '-c',
    script,
  ];
  if (process.getuid?.() !== 0) return { file: program, args };
  return { file: 'setpriv', args: ['--reuid', '10001', '--regid', '10001', '--clear-groups', program, ...args] };
}

/** Reports whether bubblewrap works. A kernel's policy may forbid it. */
function bubblewrapWorks(): boolean {
  try {
    const { file, args } = sandboxArguments([], 'true');
    execFileSync(
      file,
      args.filter((argument) => argument !== '/workspace' && argument !== '--chdir'),
      { stdio: 'ignore' },
    );
    return true;
  } catch {
    return false;
  }
}

async function inSandbox(mounts: Mount[], script: string): Promise<string> {
  const { file, args } = sandboxArguments(mounts, script);
  const { stdout } = await run(file, args);
  return stdout.trimEnd();
}

test('git in a sandbox shows a clean status, can commit, and can not reach the stores', async (context) => {
  if (!bubblewrapWorks()) context.skip('bubblewrap does not run here');
  await using f = await fixture({
    files: { 'a.txt': 'a\n', 'crlf.txt': 'x\r\n', '.gitattributes': '* text=auto\n' },
  });
  const { mounts, tree, branch } = await f.prepared();
  expect(await inSandbox(mounts, 'git status --porcelain && git branch --show-current && git log --format=%s')).toBe(
    `${branch}\nchore: first commit`,
  );
  expect(
    await inSandbox(
      mounts,
      'echo b >> a.txt && git stash -q && git stash pop -q && git commit -qam mine && git log --format=%s',
    ),
  ).toBe('mine\nchore: first commit');
  const forbidden = [
    'rm -f .git',
    'mv .git x',
    'echo gitdir: /tmp > .git',
    'touch /coppice/origin.git/x',
    'ls /coppice/tasks.git',
  ];
  for (const command of forbidden) await expect(inSandbox(mounts, command)).rejects.toThrow(/Command failed/);
  expect(readFileSync(join(tree, '.git'), 'utf8')).toContain('tasks.git/worktrees');
  expect(await f.committed(taskId)).toMatchObject({ status: 'committed', paths: ['a.txt'] });
  expect(await f.tasks('log', '--format=%s', branch)).toBe('feat(core): do it\nchore: first commit');
});
