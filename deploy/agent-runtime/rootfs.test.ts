/** Builds a real root file system and runs commands in it as sandboxes do. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { buildRootfs, rootfsKey } from './rootfs.js';

const buildMsMax = 60_000;
const agentId = '10001';

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'coppice-rootfs-'));
  spawnSync('chmod', ['755', folder]);
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function runInside(root: string, bwrap: string, command: string) {
  const sandbox = ['--unshare-all', '--die-with-parent', '--ro-bind', root, '/', '--dev', '/dev', '--proc', '/proc'];
  const writable = ['--tmpfs', '/tmp', '--tmpfs', '/workspace', '--chdir', '/workspace'];
  const environment = ['--clearenv', '--setenv', 'PATH', '/usr/bin:/bin', '--setenv', 'HOME', '/tmp'];
  const started = [bwrap, ...sandbox, ...writable, ...environment, '--', 'sh', '-ec', command];
  const asAgent = ['setpriv', '--reuid', agentId, '--regid', agentId, '--clear-groups'];
  const [program = '', ...args] = process.getuid?.() === 0 ? [...asAgent, ...started] : started;
  return spawnSync(program, args, { encoding: 'utf8', cwd: '/' });
}

test('the root file system contains what an agent needs', { timeout: buildMsMax }, async (context) => {
  const bwrap = process.env['COPPICE_BWRAP'] ?? context.skip('bubblewrap does not run here');
  const target = join(temporaryFolder(), 'rootfs');
  const lines: string[] = [];
  const first = await buildRootfs(target, { log: (line) => lines.push(line) });
  expect(first).toEqual({ folder: target, key: rootfsKey(), built: true });
  expect(lines.length).toBeGreaterThan(0);
  expect((await buildRootfs(target)).built).toBe(false);

  const work = [
    'git init --quiet .; echo text > file; git add file',
    'git -c user.name=a -c user.email=a@b.invalid commit --quiet --message first; git log --format=%s',
    'node --eval "console.log(process.version.split(\'.\')[0])"; npm --version > /dev/null',
    'find . -name file | xargs grep -c text; echo a-b | sed s/-/+/; tar -cf - file | gzip | tar -tzf -',
    'awk "BEGIN { print 6 * 7 }"; if touch /usr/planted 2> /dev/null; then echo writable; fi',
    'seq 3 | paste -sd+ - | tac | nl -w 1 -s :',
  ];
  const result = runInside(target, bwrap, work.join('\n'));
  expect(result.stderr).toBe('');
  expect(result.stdout.trim().split('\n')).toEqual(['first', 'v24', '1', 'a+b', 'file', '42', '1:1+2+3']);

  // One call of `ldd` checks all programs. It prints each program's name before the program's libraries.
  const missing =
    "ldd /usr/bin/* /usr/sbin/* 2> /dev/null | awk '/^\\// { program = $1 } /not found/ { print program, $0 }'";
  expect(runInside(target, bwrap, missing).stdout).toBe('');
});

test('an interrupted build leaves no folder that looks complete', { timeout: buildMsMax }, async (context) => {
  if (process.platform !== 'linux') context.skip('made on Linux only');
  const folder = temporaryFolder();
  const target = join(folder, 'rootfs');
  const child = spawn(process.execPath, [join(import.meta.dirname, 'rootfs.js'), target], { stdio: 'ignore' });
  const exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
  while (readdirSync(folder).length === 0) await sleep(5);
  await sleep(100);
  child.kill('SIGKILL');
  expect(await exited).toBe('SIGKILL');
  expect(readdirSync(folder)).toHaveLength(1);
  expect(existsSync(target)).toBe(false);
  expect((await buildRootfs(target)).built).toBe(true);
});

test('the error of a failed build has the reason', { timeout: buildMsMax }, async (context) => {
  if (process.platform !== 'linux') context.skip('made on Linux only');
  await expect(buildRootfs('/proc/rootfs')).rejects.toThrow(/\/proc\/rootfs/);
});
