import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { eventually, temporaryRepository } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { whyWithout } from '../support/engines.ts';
import { Stack } from '../support/stack.ts';

/** Tests tasks that attack the measurement of disk space, and a local user who tries to read a task's files. */

/** Repeatedly swaps folders with links to the host's root folder, until the test creates the file `go`. */
const swap = `
  const { existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } = require('node:fs');
  for (const folder of [process.env.HOME, process.cwd()]) {
    process.chdir(folder);
    symlinkSync('/', 'root');
    symlinkSync('/', 'aside');
    mkdirSync('turning/usr', { recursive: true });
  }
  writeFileSync('private.txt', 'of a private repository');
  const end = Date.now() + 4000;
  while (Date.now() < end || !existsSync('go')) {
    for (const folder of [process.env.HOME, '/workspace']) {
      process.chdir(folder);
      renameSync('turning', 'kept'); renameSync('aside', 'turning');
      renameSync('turning', 'aside'); renameSync('kept', 'turning');
    }
  }
  for (const name of ['root', 'aside', 'turning', 'private.txt', 'go']) rmSync(name, { recursive: true });
  writeFileSync('unharmed.txt', 'yes');`;

/** Writes more than 1 GiB, the limit of a home folder. No single file exceeds the limit. */
const fill = `cd; for i in 1 2 3 4 5; do fallocate -l 300M part$i || head -c 300M /dev/zero > part$i; done; sleep 60; touch /workspace/survived.txt`;
const look = `rm -f ~/part*; test ! -e survived.txt && echo yes > ended.txt`;

const run = (command: string) => ({ toolCalls: [{ name: 'run', arguments: { command } }] });
const finish = { toolCalls: [{ name: 'finish', arguments: { summary: 'Done.' } }] };
const script = JSON.stringify({
  rules: [
    { when: { contains: 'swap-links' }, turns: [run(`node -e "$(cat swap.cjs)"`), finish] },
    { when: { contains: 'fill-the-disk' }, turns: [run(fill), run(look), finish] },
  ],
});

const runFile = promisify(execFile);

async function readAsNobody(file: string): Promise<'read' | 'refused'> {
  const nobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups', '--'];
  return runFile('setpriv', [...nobody, 'cat', file]).then(
    () => 'read' as const,
    () => 'refused' as const,
  );
}

for (const engine of ['bubblewrap', 'docker'] as const) {
  const absent = await whyWithout(engine);
  describe.skipIf(absent !== null)(`on ${engine}${absent === null ? '' : ` (skipped: ${absent})`}`, () => {
    let stack: Stack;
    beforeAll(async () => {
      stack = await Stack.start({ engine, script });
    }, 180_000);
    afterAll(() => stack?.stop());

    test('the targets of links are not counted, exceeding the limit ends the command, and no other user can read the worktree', async () => {
      await using repository = await temporaryRepository({ files: { 'swap.cjs': swap } });
      const task = (name: string, verify: string) => ({
        name,
        description: name,
        prompt: name,
        agent: { kind: 'loop' },
        model: stack.model,
        verify,
      });
      const { runId, tasks } = await stack.submit({
        repository: repository.path,
        baseBranch: 'main',
        tasks: [task('swap-links', 'test -f unharmed.txt'), task('fill-the-disk', 'test -f ended.txt')],
      });
      const taskId = tasks[0]?.taskId ?? '';
      const worktrees = path.join(stack.dataFolder, 'worktree-service/worktrees');
      const file = await eventually(
        async () => {
          const { stdout } = await runFile('find', [path.join(worktrees, taskId), '-name', 'private.txt']);
          return stdout.trim() || undefined;
        },
        { timeoutMs: 60_000 },
      );
      expect(await readFile(file, 'utf8')).toBe('of a private repository');
      expect(await readAsNobody(file)).toBe('refused');
      await writeFile(path.join(path.dirname(file), 'go'), '');
      await stack.ended(runId);
      const ended = await stack.tasks(runId);
      for (const { name } of tasks) expect(ended.get(name)).toMatchObject({ name, state: 'merged', failure: null });
    }, 240_000);
  });
}
