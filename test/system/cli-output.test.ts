/** Tests the output for an interrupted start, and for a task with a hostile command and a hostile change. */
import { execFileSync } from 'node:child_process';
import { runIdOf } from '@coppice/contracts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CommandLine } from '../support/command-line.ts';
import { sandboxes } from '../support/sandboxes.ts';

let cli: CommandLine;

beforeAll(async () => {
  cli = await CommandLine.create({ 'first.txt': 'first\n' });
  await cli.write('script.yaml', 'default: { turns: [{ text: "a\\t\\e[2Jb\\r\\n" }] }\n');
  await cli.write(
    'escapes.yaml',
    `
repository: ${cli.repository.path}
baseBranch: main
tasks:
  - name: clears
    description: Clear the screen
    prompt: do it
    model: scripted/script.yaml
    agent: { kind: prompt, file: clears.txt }
    verify: node -e 0
`,
  );
}, 60_000);

afterAll(async () => {
  await cli[Symbol.asyncDispose]();
}, 60_000);

test('after Ctrl-C while the stack starts, a message says that nothing was submitted', async () => {
  await using running = cli.start(['run', 'escapes.yaml', '--engine', sandboxes()]);
  await running.waitForLine('nats-server:');
  expect(await running.kill('SIGINT')).toEqual({ code: 130, signal: null });
  const said = running.lines.map(({ text }) => text).join('\n');
  expect(said).toMatch(/no task was started.*"coppice down" ends it/);
  expect((await cli.run(['down'])).exitCode).toBe(0);
}, 60_000);

test('unprotected parts are reported immediately, and a diff into a pipe has no terminal control characters', async () => {
  const notProtected = '"node -e 0": files that its inline code loads are not known: name them under protect';
  const outcome = await cli.run(['run', 'escapes.yaml', '--engine', sandboxes(), '--request-id', 'escapes']);
  expect(outcome).toMatchObject({ exitCode: 0, err: expect.stringContaining(`not protected: ${notProtected}\n`) });
  const name = `${runIdOf('default', 'escapes')}/clears`;
  expect((await cli.run(['show', name])).out).toContain(`not protected  ${notProtected}\n`);
  const shown = await cli.run(['diff', name]);
  expect(shown.out).toContain('\n+a\t\u241B[2Jb\r\n');
  expect(shown.err).toContain(`For the original: coppice diff ${name} --raw\n`);
  const raw = await cli.run(['diff', name, '--raw']);
  expect(raw).toMatchObject({ err: '', out: expect.stringContaining('\n+a\t\u001B[2Jb\r\n') });
  execFileSync('git', ['-C', cli.repository.path, 'apply', '--check', '--reverse'], { input: raw.out });
}, 120_000);
