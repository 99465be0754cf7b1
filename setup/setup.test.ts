/** Tests the parts of set-up that need no download. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { debianUris } from './apt.js';
import { socketCandidates } from './container-engine.js';
import { withLock } from './lock.js';
import { releases } from './nats-server.js';
import { nodePackages } from './node.js';
import { staleReason } from './node-modules.js';
import { formatSetupError, SetupError } from './report.js';
import { describeNotRun, describeSkipped, sortSkipped } from './skipped-tests-reporter.ts';
import { isAtLeast, parseVersion } from './versions.js';

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'coppice-setup-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test.each([
  ['nats-server: v2.15.1', '2.15.1'],
  ['v24.21.0', '24.21.0'],
  ['bubblewrap 0.8.0', '0.8.0'],
  ['nats-server: v2.12.0-RC.2', '2.12.0'],
  ['git version 2.39', '2.39.0'],
  ['command not found', undefined],
])('the version in %j is %s', (text, version) => {
  expect(parseVersion(text)).toBe(version);
});

test.each([
  ['2.12.0', '2.12.0', true],
  ['2.9.25', '2.12.0', false],
  ['3.0.0', '2.12.0', true],
  ['24.0.0', '24.0.0', true],
  ['20.20.2', '24.0.0', false],
  ['2.12.10', '2.12.9', true],
])('%s is at least %s: %s', (version, minimum, expected) => {
  expect(isAtLeast(version, minimum)).toBe(expected);
});

test('installed packages are stale if they differ from the lockfile', () => {
  const wanted = {
    packages: {
      '': { version: '1.0.0' },
      'node_modules/zod': { version: '4.0.0', integrity: 'sha512-a' },
      'node_modules/fsevents': { version: '2.0.0', integrity: 'sha512-b', optional: true },
      'libs/bus': { version: '0.1.0' },
      'node_modules/@coppice/bus': { resolved: 'libs/bus', link: true },
    },
  };
  const { '': _root, 'node_modules/fsevents': _other, ...installed } = wanted.packages;
  const withZod = (zod: object) => ({ packages: { ...installed, 'node_modules/zod': zod } });
  const everywhere = () => true;
  expect(staleReason(wanted, { packages: installed }, everywhere)).toBeUndefined();
  expect(staleReason(wanted, undefined, everywhere)).toBe('node_modules is missing or incomplete');
  expect(staleReason(wanted, withZod({ version: '3.9.0', integrity: 'sha512-a' }), everywhere)).toBe(
    'zod is 3.9.0, the lockfile says 4.0.0',
  );
  expect(staleReason(wanted, withZod({ version: '4.0.0', integrity: 'sha512-x' }), everywhere)).toBe(
    'zod differs from the lockfile',
  );
  const { 'node_modules/@coppice/bus': _bus, ...withoutBus } = installed;
  expect(staleReason(wanted, { packages: withoutBus }, everywhere)).toBe('@coppice/bus is not installed');
  const extra = { packages: { ...installed, 'node_modules/left-pad': { version: '1.0.0' } } };
  expect(staleReason(wanted, extra, everywhere)).toBe('left-pad is installed but not in the lockfile');
});

test('packages are installed again if the checkout was copied without the node_modules folders of its workspaces', () => {
  const nested = 'apps/llm-gateway/node_modules/undici';
  const packages = {
    'apps/llm-gateway': { version: '0.1.0' },
    [nested]: { version: '8.0.0', integrity: 'sha512-a' },
  };
  const copied = (path: string) => path !== nested;
  expect(staleReason({ packages }, { packages }, copied)).toBe(`${nested} is missing`);
});

test("Debian's packages are fetched from the mirrors of this machine", () => {
  const deb822 = [
    'Types: deb',
    'URIs: http://mirror.example/debian/',
    'Suites: bookworm bookworm-updates',
    'Components: main',
    'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg',
    '',
    'Types: deb',
    'URIs: http://mirror.example/debian-security',
    'Suites: bookworm-security',
    'Components: main',
  ].join('\n');
  expect(debianUris([deb822])).toEqual(['http://mirror.example/debian']);
  const oneLine =
    'deb [arch=amd64 signed-by=/k.gpg] https://other.example/debian bookworm main contrib\n# deb http://off.example/debian sid main\n';
  expect(debianUris([oneLine])).toEqual(['https://other.example/debian']);
  expect(debianUris([deb822.replace('Types: deb', 'Enabled: no\nTypes: deb')])).toEqual([]);
  expect(debianUris(['deb http://archive.ubuntu.com/ubuntu noble main universe'])).toEqual([]);
});

test('if DOCKER_HOST names a socket, only this socket is tried', () => {
  expect(socketCandidates({ DOCKER_HOST: 'unix:///tmp/d.sock' }, '/home/agent', 1000)).toEqual(['/tmp/d.sock']);
  expect(socketCandidates({}, '/home/agent', 1000)).toContain('/run/user/1000/podman/podman.sock');
});

test('every download is pinned by a digest of the right length', () => {
  for (const release of Object.values(releases)) expect(release?.sha256).toMatch(/^[0-9a-f]{64}$/);
  for (const pinned of Object.values(nodePackages)) {
    expect(Buffer.from(String(pinned?.integrity.slice('sha512-'.length)), 'base64')).toHaveLength(64);
    expect(isAtLeast(String(pinned?.version), '24.0.0')).toBe(true);
  }
});

test('the lock has one holder at a time', async () => {
  const lock = join(temporaryFolder(), 'setup.lock');
  let inside = 0;
  let insideMost = 0;
  const enter = async () =>
    withLock(lock, async () => {
      inside += 1;
      insideMost = Math.max(insideMost, inside);
      await new Promise((resolve) => setTimeout(resolve, 20));
      inside -= 1;
    });
  await Promise.all([enter(), enter(), enter()]);
  expect(insideMost).toBe(1);
});

test('a lock is taken over if its holder has ended, but not if its holder is running', async () => {
  const lock = join(temporaryFolder(), 'setup.lock');
  const beyondTheLargestId = 2 ** 22 + 1;
  writeFileSync(lock, String(beyondTheLargestId));
  expect(await withLock(lock, async () => readFileSync(lock, 'utf8'))).toBe(String(process.pid));
  writeFileSync(lock, String(process.ppid));
  await expect(withLock(lock, async () => 'entered', 0)).rejects.toThrow('does not end');
});

test('the error of a step lists what was tried and what to do by hand', () => {
  const error = new SetupError('It could not be had.', { tried: ['PATH: none'], byHand: 'install it' });
  expect(formatSetupError(error)).toBe('It could not be had.\n  tried: PATH: none\n  by hand: install it');
});

test('skipped tests are listed with their reasons, and fail a run that requires an engine', () => {
  expect(describeSkipped([], 'docker')).toEqual([]);
  const lines = describeSkipped([{ name: 'a.test.ts > b', reason: 'no Docker' }], 'docker');
  expect(lines.join('\n')).toContain('Skipped, not passed (1) although docker is required here: this run has failed');
  expect(lines.join('\n')).toContain('a.test.ts > b: no Docker');
});

test('only a test that lacks something in COPPICE_TEST_WITHOUT is listed as not run', () => {
  const go = { name: 'a.test.ts > go', reason: 'no go here: go version: spawn go ENOENT' };
  const docker = { name: 'a.test.ts > docker', reason: 'no docker here: no answer' };
  expect(sortSkipped([go, docker], 'go,rust')).toEqual({ skipped: [docker], notRun: [go] });
  expect(sortSkipped([go, docker], '')).toEqual({ skipped: [go, docker], notRun: [] });
  expect(describeNotRun([go]).join('\n')).toMatch(/Not run.*\(1\):\n {2}a\.test\.ts > go: no go here/);
  expect(describeNotRun([])).toEqual([]);
});
