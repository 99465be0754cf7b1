import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test, vi } from 'vitest';
import { fixture } from '../test-support/fixture.ts';
import { notStarted } from './failures.ts';
import { Git } from './git.ts';
import { landOf, readyTask } from '../test-support/task.ts';

test("a filter of the user's repository gets only those variables of the stack's environment that git needs", async () => {
  await using f = await fixture();
  const seen = join(f.repository.path, '../seen');
  await f.repository.git('config', 'filter.spy.smudge', `env >> '${seen}'; cat`);
  writeFileSync(join(f.repository.path, '.git/info/attributes'), '*.txt filter=spy\n');
  const secrets = ['NATS_PASSWORD', 'ANTHROPIC_API_KEY', 'GIT_CONFIG_PARAMETERS_X', 'COPPICE_DATA', 'NODE_OPTIONS_X'];
  for (const name of secrets) vi.stubEnv(name, 'planted-secret');
  vi.stubEnv('https_proxy', 'http://proxy.invalid:3128');
  vi.stubEnv('XDG_CONFIG_HOME', '/nonexistent/xdg');
  try {
    expect(await landOf(f, await readyTask(f, 'one', { 'one.txt': '1' }))).toMatchObject({ status: 'landed' });
  } finally {
    vi.unstubAllEnvs();
  }
  const environment = readFileSync(seen, 'utf8');
  expect(environment).not.toMatch(/planted-secret/);
  expect(environment).toMatch(/^https_proxy=http:\/\/proxy\.invalid:3128$/m);
  expect(environment).toMatch(/^XDG_CONFIG_HOME=\/nonexistent\/xdg$/m);
  expect(environment).toMatch(/^PATH=/m);
});

test.each([
  ['EAGAIN', true],
  ['ENOMEM', true],
  ['ENOENT', false],
])('if git could not be started because of %s, the error is retryable: %s', (code, retryable) => {
  expect(notStarted(Object.assign(new Error(`spawn git ${code}`), { code }))).toMatchObject({
    code: 'unavailable',
    retryable,
  });
});

test('git gives up on a server that sends nothing', async () => {
  await using folder = await temporaryFolder('git');
  const git = new Git(join(folder.path, 'config'));
  await git.start();
  for (const as of ['service', 'user'] as const) {
    expect(await git.text(['config', '--get', 'http.lowSpeedLimit'], { as })).toBe('1');
    expect(await git.text(['config', '--get', 'http.lowSpeedTime'], { as })).toBe('60');
  }
});
