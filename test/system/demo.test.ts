/** The demo itself checks what it promises. */
import { execFile } from 'node:child_process';
import { chmod, readdir } from 'node:fs/promises';
import path from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { startModelServer } from '../support/model-server.ts';
import { sandboxes } from '../support/sandboxes.ts';

const program = path.resolve(import.meta.dirname, '../../apps/cli/src/demo/main.ts');
const runMsMax = 150_000;

type Outcome = { exitCode: number | null; out: string; err: string };

function runDemo(folder: string, programArguments: string[], environment: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const env = {
    ...process.env,
    TMPDIR: folder,
    COPPICE_LOG_LEVEL: undefined,
    COPPICE_HOME: path.join(folder, 'not-used'),
    ...environment,
  };
  const child = execFile(
    process.execPath,
    [program, ...programArguments],
    { env, timeout: runMsMax },
    (_error, out, err) => resolve({ exitCode: child.exitCode, out, err }),
  );
  return promise;
}

async function expectPromisesKept(engine: string, environment: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  await using folder = await temporaryFolder('demo');
  await chmod(folder.path, 0o711);
  const outcome = await runDemo(folder.path, ['--engine', engine], environment);
  const { exitCode, out } = outcome;
  expect([exitCode, out.match(/^✘ .*$/gm)]).toEqual([0, [expect.stringMatching(/^✘ faster-count +failed/)]]);
  expect(out.match(/^✔ .*(merged|history|passes?|at once|unchanged|as it was).*$/gm)?.length).toBeGreaterThan(15);
  expect(out).toMatch(/^\* .*chore: two functions, one with a bug, and tests for what is missing$/m);
  expect(out).toContain('verify ended with exit code 1');
  expect(out).toMatch(/^ +→ edit src\/truncate\.js\n[^]*← edit ok/m);
  expect(out.match(/^✔ .*replayed offline, decides the same$/gm)).toHaveLength(2);
  expect(out).toMatch(/What next[^]*^ +\/\S+\/coppice run \/\S+\/plan\.yaml  /m);
  expect(out).toContain('has stopped');
  // The demo must use its own home folder instead of the user's.
  expect(await readdir(folder.path)).toEqual([expect.stringMatching(/^coppice-demo-/)]);
  return outcome;
}

test('the demo keeps its promises', { timeout: 180_000 }, async () => {
  const { out } = await expectPromisesKept(sandboxes());
  expect(out).not.toContain('No sandbox works');
});

test('if no sandbox works, the demo runs without one and prints a warning', { timeout: 180_000 }, async () => {
  const nowhere = { COPPICE_DOCKER_SOCKET: '/nonexistent', COPPICE_BWRAP: '/nonexistent' };
  const { out } = await expectPromisesKept('auto', nowhere);
  expect(out).toContain('No sandbox works on this machine');
  expect(out).toContain('Nothing keeps them from your files');
});

test.each([
  [['--engine', 'vm'], 'Usage'],
  [['--provider', 'openai', '--model', 'm'], 'there is no key; set OPENAI_API_KEY'],
  [['--provider', 'nowhere'], 'expected openai, a name from COPPICE_OPENAI_PROVIDERS, or a server on this machine'],
])('%j is wrong usage, and no files are left', async (programArguments, expected) => {
  await using folder = await temporaryFolder('demo');
  const noKey = { OPENAI_API_KEY: '', OPENAI_API_KEY_FILE: '', OPENAI_BASE_URL: '', COPPICE_OPENAI_PROVIDERS: '' };
  expect(await runDemo(folder.path, programArguments, noKey)).toMatchObject({
    exitCode: 2,
    err: expect.stringContaining(expected),
  });
  expect(await readdir(folder.path)).toEqual([]);
});

test('with a real model the demo only promises that unverified work does not land', { timeout: 180_000 }, async () => {
  const key = `sk-${'demo'.repeat(8)}`;
  await using model = await startModelServer('I am small, and know little of this.');
  await using folder = await temporaryFolder('demo');
  await chmod(folder.path, 0o711);
  const { exitCode, out } = await runDemo(
    folder.path,
    ['--engine', sandboxes(), '--provider', 'openai', '--model', 'small-1'],
    { OPENAI_BASE_URL: model.baseUrl, OPENAI_API_KEY: key },
  );
  expect(out).toContain('their results depend on it');
  expect(out).toMatch(/^✔ slugify did not land, and says why$/m);
  expect(out).toMatch(/^✔ fix-truncate did not land, and says why$/m);
  expect(out).not.toMatch(/^✔ \S+ +merged/m);
  expect(exitCode).toBe(0);
  expect(model.requests.length).toBeGreaterThan(5);
  expect(new Set(model.requests)).toEqual(new Set([`Bearer ${key}`]));
  expect(out).not.toContain(key);
});
