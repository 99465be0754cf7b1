import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { serviceNames } from '@coppice/contracts';
import { temporaryFolder, temporaryRepository } from '@coppice/testing';
import { expect, test } from 'vitest';
import { whyWithout } from '../support/engines.ts';
import { Stack } from '../support/stack.ts';

/**
 * Tests a backup as docs/operations.md describes it. The backup is made during a run and restored after the run's end.
 * Then the user's repository contains later landings, while every actor continues from its older state.
 */
const script = `
rules:
  - { when: { contains: quick }, turns: [{ text: "quick\\n" }] }
  - { when: { contains: slow }, turns: [{ text: "slow\\n", latencyMs: 4000 }] }
default: { turns: [{ text: "late\\n" }] }
`;
const runFile = promisify(execFile);
const copy = (from: string, to: string) => runFile('cp', ['-a', from, to]);

const absent = await whyWithout('bubblewrap');

test.skipIf(absent !== null)(
  `a run continues after a restore, and nothing lands twice${absent === null ? '' : ` (skipped: ${absent})`}`,
  async () => {
    await using folder = await temporaryFolder('backup');
    await using repository = await temporaryRepository({ files: { 'README.md': '# A repository\n' } });
    const storeDir = path.join(folder.path, 'store');
    const stack = await Stack.start({ engine: 'bubblewrap', script, storeDir });
    try {
      const stopAll = async () => {
        for (const name of serviceNames) await stack.stopService(name);
        await stack.nats.kill();
      };
      const startAll = async () => {
        await stack.nats.restart();
        await Promise.all(serviceNames.map((name) => stack.startService(name)));
      };
      const task = (name: string, rest: object = {}) => ({
        name,
        description: `Write ${name}`,
        prompt: `write ${name}`,
        agent: { kind: 'prompt', file: `${name}.txt` },
        verify: `test -f ${name}.txt`,
        ...rest,
      });
      const setup = { run: 'mkdir deps && echo 1 > deps/a.js && echo SECRET=of-this-machine > .env' };
      const { runId, tasks } = await stack.submit({
        repository: repository.path,
        baseBranch: 'main',
        defaults: { model: stack.model },
        tasks: [task('quick'), task('slow', { setup }), task('after', { dependsOn: ['slow'] })],
      });
      const idOf = (name: string) => tasks.find((each) => each.name === name)?.taskId ?? '';
      await stack.reached(runId, idOf('quick'), 'merged');
      await stack.reached(runId, idOf('slow'), 'working');

      await stopAll();
      await copy(storeDir, path.join(folder.path, 'store.backup'));
      await copy(stack.dataFolder, path.join(folder.path, 'data.backup'));
      await startAll();
      expect((await stack.ended(runId)).state).toBe('succeeded');
      const landed = await repository.head('main');

      await stopAll();
      await runFile('rm', ['-rf', storeDir, stack.dataFolder]);
      await copy(path.join(folder.path, 'store.backup'), storeDir);
      await copy(path.join(folder.path, 'data.backup'), stack.dataFolder);
      await startAll();
      expect((await stack.run(runId)).state).toBe('running');
      const run = await stack.ended(runId);
      expect(run.state).toBe('succeeded');
      // The last two tasks repeat their work, which has already landed.
      expect(run.tasks.map(({ name, state, reason }) => ({ name, state, reason }))).toEqual([
        { name: 'quick', state: 'merged', reason: null },
        { name: 'slow', state: 'no-changes', reason: 'main holds this change already' },
        { name: 'after', state: 'no-changes', reason: 'the agent changed nothing' },
      ]);
      expect(await repository.head('main')).toBe(landed);
      // No commit, landed or not, may contain the files that the setup left in the restored worktree.
      const files = await repository.git('log', '--all', '--format=', '--name-only');
      expect(files.split('\n').filter((file) => file !== '' && !/^(README.md|\w+\.txt)$/.test(file))).toEqual([]);
      for (const { taskId } of tasks) {
        const commits = await repository.git('log', '--format=%H', '--grep', `Coppice-Task: ${taskId}`, '--no-merges');
        expect(commits.split('\n')).toHaveLength(1);
      }
      // A new run must work too.
      const { runId: next } = await stack.submit({
        repository: repository.path,
        baseBranch: 'main',
        defaults: { model: stack.model },
        tasks: [task('later')],
      });
      expect((await stack.ended(next)).state).toBe('succeeded');
    } finally {
      await stack.stop();
    }
  },
  240_000,
);
