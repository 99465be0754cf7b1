import { setTimeout as sleep } from 'node:timers/promises';
import { temporaryRepository } from '@coppice/testing';
import type { TemporaryRepository } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { whyWithout } from '../support/engines.ts';
import { Stack } from '../support/stack.ts';

/** Tests that trees land exactly as verified, and that no protected path changes without a user's approval. */

const script = `
rules:
  - { when: { contains: slowly }, turns: [{ text: "run: make all\\n", latencyMs: 2500 }] }
default: { turns: [{ text: "run: make all\\n" }] }
`;

const absent = await whyWithout('bubblewrap');

describe.skipIf(absent !== null)(`verified landing${absent === null ? '' : ` (skipped: ${absent})`}`, () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await Stack.start({ engine: 'bubblewrap', script });
  }, 180_000);
  afterAll(() => stack?.stop());

  const submitOne = (repository: TemporaryRepository, rest: object) =>
    stack.submit({
      repository: repository.path,
      baseBranch: 'main',
      tasks: [
        {
          name: 'one',
          description: 'Write one',
          prompt: 'write',
          agent: { kind: 'prompt', file: 'one.txt' },
          model: stack.model,
          verify: 'true',
          ...rest,
        },
      ],
    });

  test('a verification whose executor was killed is repeated on a tree that the first one did not change', async () => {
    await using repository = await temporaryRepository();
    // This command passes only if an earlier run of it has left the file `built`.
    const verify = 'if [ -e built ]; then exit 0; fi; touch built; sleep 3; exit 1';
    const { runId, tasks } = await submitOne(repository, { verify });
    await stack.reached(runId, tasks[0]?.taskId ?? '', 'verifying');
    await sleep(1_500);
    await stack.killAndRestart('container-service');
    await stack.ended(runId);
    const view = (await stack.tasks(runId)).get('one');
    expect(view).toMatchObject({ state: 'failed', reason: 'verify ended with exit code 1' });
    expect(await repository.show('one.txt')).toBeNull();
  }, 120_000);

  test('a failed verification is not repeated because its home folder is hard to remove', async () => {
    await using repository = await temporaryRepository({
      files: {
        'dig.mjs': `
import { mkdirSync } from 'node:fs';
process.chdir('/home/agent');
for (let depth = 0; depth < 40; depth++) { mkdirSync('d'.repeat(200)); process.chdir('d'.repeat(200)); }
mkdirSync(Buffer.from([0xff, 0x66]));
`,
      },
    });
    const verify = 'if [ -e built ]; then exit 0; fi; touch built; node dig.mjs; exit 1';
    const { runId } = await submitOne(repository, { verify });
    await stack.ended(runId);
    expect((await stack.tasks(runId)).get('one')).toMatchObject({
      state: 'failed',
      reason: 'verify ended with exit code 1',
    });
    await stack.killAndRestart('container-service');
  }, 120_000);

  test('a merge that moves a change to a protected path waits for approval', async () => {
    await using repository = await temporaryRepository({ files: { 'ci.yml': 'run: make test\n' } });
    const { runId, tasks } = await submitOne(repository, {
      prompt: 'slowly',
      agent: { kind: 'prompt', file: 'ci.yml' },
    });
    const taskId = tasks[0]?.taskId ?? '';
    await stack.reached(runId, taskId, 'working');
    // Git's merge follows the rename, so the agent's change to ci.yml changes the workflow.
    await repository.git('rm', '--quiet', 'ci.yml');
    await repository.commit('build: move the workflow', { '.github/workflows/ci.yml': 'run: make test\n' });
    await stack.reached(runId, taskId, 'awaiting-approval');
    expect(await stack.task(taskId)).toMatchObject({ protectedPaths: ['.github/workflows/ci.yml'] });
    expect(await repository.show('.github/workflows/ci.yml')).toBe('run: make test\n');
    await stack.command('taskApprove', { taskId });
    await stack.ended(runId);
    expect(await repository.show('.github/workflows/ci.yml')).toBe('run: make all\n');
  }, 60_000);

  test("a failed setup is repeated on a fresh tree, and a setup's result is not used for another branch", async () => {
    await using repository = await temporaryRepository({
      files: { 'lock.txt': '1\n', 'install.sh': 'echo good > lib.txt\n' },
    });
    await repository.git('switch', '--quiet', '--create', 'evil');
    await repository.commit('other install', { 'install.sh': 'echo evil > lib.txt\n' });
    await repository.git('switch', '--quiet', 'main');
    const setup = { run: 'if [ -e marker ]; then exit 0; fi; touch marker; exit 1', inputs: ['lock.txt'] };
    for (const attempt of [1, 2]) {
      const { runId } = await submitOne(repository, { setup, name: `try-${attempt}` });
      await stack.ended(runId);
      expect((await stack.tasks(runId)).get(`try-${attempt}`)).toMatchObject({
        state: 'failed',
        reason: 'setup ended with exit code 1',
      });
    }
    const install = { setup: { run: 'sh install.sh', inputs: ['lock.txt'] }, verify: 'grep -q good lib.txt' };
    const evil = await stack.submit({
      repository: repository.path,
      baseBranch: 'evil',
      tasks: [
        {
          name: 'one',
          description: 'd',
          prompt: 'p',
          agent: { kind: 'prompt', file: 'a.txt' },
          model: stack.model,
          ...install,
          merge: 'manual',
        },
      ],
    });
    expect((await stack.ended(evil.runId)).state).toBe('failed');
    const { runId } = await submitOne(repository, install);
    expect((await stack.ended(runId)).state).toBe('succeeded');
  }, 120_000);
});
