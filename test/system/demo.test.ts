/** The demo as a newcomer runs it: what it prints and how it exits; what it promises it checks itself. */
import { execFile } from 'node:child_process';
import { chmod, readdir } from 'node:fs/promises';
import path from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { sandboxes } from '../support/sandboxes.ts';

const program = path.resolve(import.meta.dirname, '../../apps/cli/src/demo/main.ts');
const runMsMax = 100_000;

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
  expect(out.match(/^✔ .*(merged|history|passes?|at once|unchanged|as it was).*$/gm)?.length).toBeGreaterThan(9);
  expect(out).toMatch(/^\* .*chore: a function, and tests for three that are missing$/m);
  expect(out).toContain('verify ended with exit code 1');
  expect(out).toContain('What next');
  expect(out).toContain('has stopped');
  // Its own home, not the user's.
  expect(await readdir(folder.path)).toEqual([expect.stringMatching(/^coppice-demo-/)]);
  return outcome;
}

test('everything is as promised', { timeout: 120_000 }, async () => {
  const { out } = await expectPromisesKept(sandboxes());
  expect(out).not.toContain('No sandbox works');
});

test('where no sandbox works it goes on without, and says so loudly', { timeout: 120_000 }, async () => {
  const nowhere = { COPPICE_DOCKER_SOCKET: '/nonexistent', COPPICE_BWRAP: '/nonexistent' };
  const { out } = await expectPromisesKept('auto', nowhere);
  expect(out).toContain('No sandbox works on this machine');
  expect(out).toContain('Nothing keeps them from your files');
});

test('wrong usage is told', async () => {
  await using folder = await temporaryFolder('demo');
  expect(await runDemo(folder.path, ['--engine', 'vm'])).toMatchObject({
    exitCode: 2,
    err: expect.stringContaining('Usage'),
  });
  expect(await readdir(folder.path)).toEqual([]);
});
