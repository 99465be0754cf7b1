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

function runDemo(folder: string, ...programArguments: string[]): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const env = {
    ...process.env,
    TMPDIR: folder,
    COPPICE_LOG_LEVEL: undefined,
    COPPICE_HOME: path.join(folder, 'not-used'),
  };
  const child = execFile(
    process.execPath,
    [program, ...programArguments],
    { env, timeout: runMsMax },
    (_error, out, err) => resolve({ exitCode: child.exitCode, out, err }),
  );
  return promise;
}

test.each([sandboxes(), 'none'])('with engine %s everything is as promised', { timeout: 120_000 }, async (engine) => {
  await using folder = await temporaryFolder('demo');
  await chmod(folder.path, 0o711);
  const { exitCode, out } = await runDemo(folder.path, '--engine', engine);
  expect(out).not.toContain('✘ at least');
  expect([exitCode, out.match(/^✘ .*$/gm)]).toEqual([0, [expect.stringMatching(/^✘ faster-count +failed/)]]);
  expect(out.match(/^✔ .*(merged|history|passes?|at once|unchanged|as it was).*$/gm)?.length).toBeGreaterThan(9);
  expect(out).toMatch(/^\* .*chore: a function, and tests for three that are missing$/m);
  expect(out).toContain('verify ended with exit code 1');
  expect(out).toContain('What next');
  expect(out).toContain('has stopped');
  // Its own home, not the user's.
  expect(await readdir(folder.path)).toEqual([expect.stringMatching(/^coppice-demo-/)]);
});

test('wrong usage is told', async () => {
  await using folder = await temporaryFolder('demo');
  expect(await runDemo(folder.path, '--engine', 'vm')).toMatchObject({
    exitCode: 2,
    err: expect.stringContaining('Usage'),
  });
  expect(await readdir(folder.path)).toEqual([]);
});
