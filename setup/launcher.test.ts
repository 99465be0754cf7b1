/** Tests the launcher `coppice` and with-node.js in a small temporary checkout. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

const projectFolder = join(import.meta.dirname, '..');

/** Creates a checkout in which the command line's main file has this text. */
function checkout(main: string): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'coppice-launcher-')));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of ['apps/cli/src', 'setup', 'node_modules', '.cache/bin', 'elsewhere']) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  copyFileSync(join(projectFolder, 'coppice'), join(folder, 'coppice'));
  chmodSync(join(folder, 'coppice'), 0o755);
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  writeFileSync(join(folder, 'apps/cli/src/main.ts'), main);
  return folder;
}

function setUpDone(folder: string): void {
  symlinkSync(process.execPath, join(folder, '.cache/bin/node'));
  writeFileSync(join(folder, '.cache/setup.json'), '{}');
}

test('the launcher starts from any folder and through links, and passes on arguments and the exit code', () => {
  const folder = checkout(
    'const args: string[] = process.argv.slice(2); console.log(JSON.stringify([process.cwd(), ...args])); process.exitCode = 7;',
  );
  setUpDone(folder);
  const elsewhere = join(folder, 'elsewhere');
  symlinkSync('../coppice', join(elsewhere, 'relative'));
  symlinkSync(join(elsewhere, 'relative'), join(elsewhere, 'twice'));
  for (const program of ['../coppice', './relative', join(elsewhere, 'twice')]) {
    const result = spawnSync(program, ['run', 'two words', ''], { cwd: elsewhere, encoding: 'utf8' });
    expect(JSON.parse(result.stdout)).toEqual([elsewhere, 'run', 'two words', '']);
    expect(result.status).toBe(7);
  }
});

test('the launcher runs set-up if it has never run, and stops if set-up fails', () => {
  const folder = checkout("console.log('started');");
  writeFileSync(join(folder, 'setup/setup.js'), "console.error('setting up'); process.exitCode = 3;");
  const failed = spawnSync(join(folder, 'coppice'), { cwd: folder, encoding: 'utf8' });
  expect([failed.status, failed.stdout, failed.stderr]).toEqual([3, '', 'setting up\n']);
  const links = "import { symlinkSync, writeFileSync } from 'node:fs';";
  // The launcher starts set-up with the Node on PATH. This test's set-up links the test's own Node, which the launcher then uses.
  const steps = `symlinkSync(${JSON.stringify(process.execPath)}, '.cache/bin/node'); writeFileSync('.cache/setup.json', '{}');`;
  writeFileSync(join(folder, 'setup/setup.js'), `${links}\n${steps}`);
  expect(spawnSync(join(folder, 'coppice'), { cwd: folder, encoding: 'utf8' }).stdout).toBe('started\n');
});

test('the launcher runs set-up again after the lockfile has changed', () => {
  const folder = checkout("console.log('started');");
  setUpDone(folder);
  writeFileSync(join(folder, 'setup/setup.js'), "console.log('setting up');");
  writeFileSync(join(folder, 'package-lock.json'), '{}');
  const lastYear = new Date(Date.now() - 365 * 86_400_000);
  utimesSync(join(folder, 'package-lock.json'), lastYear, lastYear);
  const start = () => spawnSync(join(folder, 'coppice'), { encoding: 'utf8' }).stdout;
  expect(start()).toBe('started\n');
  utimesSync(join(folder, '.cache/setup.json'), lastYear, lastYear);
  utimesSync(join(folder, 'package-lock.json'), new Date(), new Date());
  expect(start()).toBe('setting up\nstarted\n');
});

const waiting = "process.on('SIGTERM', () => process.exit(42)); console.log('ready'); setInterval(() => {}, 1000);";

test.each(['coppice', 'with-node'])('a signal reaches the program through %s', async (launcher) => {
  const folder = checkout(waiting);
  setUpDone(folder);
  const [program, args] =
    launcher === 'coppice'
      ? [join(folder, 'coppice'), []]
      : [process.execPath, [join(projectFolder, 'setup/with-node.js'), join(folder, 'apps/cli/src/main.ts')]];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([42, null]);
});

test('if a signal ended the program, with-node.js exits with 128 plus the number of the signal', () => {
  const folder = checkout("process.kill(process.pid, 'SIGKILL');");
  const script = join(projectFolder, 'setup/with-node.js');
  const result = spawnSync(process.execPath, [script, join(folder, 'apps/cli/src/main.ts')]);
  expect(result.status).toBe(128 + 9);
});
