import { eventually, temporaryRepository } from '@coppice/testing';
import type { TaskView } from '@coppice/contracts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { whyWithout } from '../support/engines.ts';
import { Stack } from '../support/stack.ts';

/** Tests tasks that change the files that their verification runs. No such task may land without a user's approval. */

const scripts = { exits0: 'process.exit(0);\n', exits1: 'process.exit(1);\n' };
const packageOf = (script: string) => `${JSON.stringify({ scripts: { test: script } })}\n`;
const launcher = (text: string) => ({ text, executable: true });

/** Each attack has a file that makes the verify command fail. The task replaces the file. */
const attacks: {
  name: string;
  verify: string;
  file: string;
  base: string | ReturnType<typeof launcher>;
  planted: string;
}[] = [
  { name: 'shell', verify: `sh -c 'node test.js'`, file: 'test.js', base: scripts.exits1, planted: scripts.exits0 },
  {
    name: 'timeout',
    verify: 'cd a && timeout 60 npm test',
    file: 'a/package.json',
    base: packageOf('exit 1'),
    planted: packageOf('exit 0'),
  },
  {
    name: 'branch',
    verify: 'if node branch/test.js; then exit 0; fi; exit 1',
    file: 'branch/test.js',
    base: scripts.exits1,
    planted: scripts.exits0,
  },
  {
    name: 'dependency',
    verify: 'cd b && npm test',
    file: 'b/node_modules/.bin/node',
    base: launcher('#!/bin/sh\nexit 1\n'),
    planted: '#!/bin/sh\nexit 0\n',
  },
  {
    name: 'option',
    verify: 'cd c && node --run test',
    file: 'c/package.json',
    base: packageOf('exit 1'),
    planted: packageOf('exit 0'),
  },
  { name: 'piped', verify: 'cat piped.txt | sh', file: 'piped.txt', base: 'exit 1\n', planted: 'exit 0\n' },
  {
    name: 'absolute',
    verify: 'node "$PWD/absolute/test.js"',
    file: 'absolute/test.js',
    base: scripts.exits1,
    planted: scripts.exits0,
  },
];

const script = JSON.stringify({
  rules: attacks.map(({ name, planted }) => ({ when: { contains: `attack by ${name}.` }, turns: [{ text: planted }] })),
  default: { turns: [{ text: 'good\n' }] },
});

for (const engine of ['bubblewrap', 'docker'] as const) {
  const absent = await whyWithout(engine);
  describe.skipIf(absent !== null)(`on ${engine}${absent === null ? '' : ` (skipped: ${absent})`}`, () => {
    let stack: Stack;
    beforeAll(async () => {
      stack = await Stack.start({ engine, script });
    }, 180_000);
    afterAll(() => stack?.stop());

    test('a task that changes a file of its verification waits for approval, however the command is written', async () => {
      const files = Object.fromEntries(attacks.map(({ file, base }) => [file, base]));
      await using repository = await temporaryRepository({
        files: { ...files, 'b/package.json': packageOf('node ok.js'), 'b/ok.js': scripts.exits0 },
      });
      const { runId, unprotected = [] } = await stack.submit({
        repository: repository.path,
        baseBranch: 'main',
        defaults: { model: stack.model },
        tasks: attacks.map(({ name, verify, file }) => ({
          name,
          description: `Change ${name}`,
          prompt: `attack by ${name}.`,
          agent: { kind: 'prompt', file },
          verify,
        })),
      });
      expect(unprotected.map(({ part }) => part)).toContain('sh');
      const tasks = await eventually(
        async () => {
          const found = await stack.tasks(runId);
          const going = [...found.values()].filter(
            ({ state, endedAt }) => endedAt === null && state !== 'awaiting-approval',
          );
          if (found.size < attacks.length || going.length > 0) throw new Error(JSON.stringify(going));
          return found;
        },
        { timeoutMs: 120_000 },
      );
      const seen = ({ name }: { name: string }) => {
        const { state, protectedPaths } = tasks.get(name) as TaskView;
        return { name, state, protectedPaths };
      };
      expect(attacks.map(seen)).toEqual(
        attacks.map(({ name, file }) => ({ name, state: 'awaiting-approval', protectedPaths: [file] })),
      );
      expect(tasks.get('piped')?.unprotected).toEqual([{ part: 'sh', why: expect.stringContaining('pipe') }]);
      expect(tasks.get('shell')?.unprotected).toEqual([
        { part: 'node test.js', why: expect.stringContaining('files that test.js starts or loads') },
      ]);
      // The change makes the verification pass, so the work lands after a user's approval.
      const [{ taskId } = { taskId: '' }] = attacks.flatMap(({ name }) =>
        name === 'dependency' ? (tasks.get(name) ?? []) : [],
      );
      await stack.command('taskApprove', { taskId });
      await stack.reached(runId, taskId, 'merged');
      await stack.cancelRun(runId);
      await stack.ended(runId);
    }, 240_000);
  });
}
