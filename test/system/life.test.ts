import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { api } from '@coppice/contracts';
import { temporaryRepository } from '@coppice/testing';
import type { TemporaryRepository } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Stack } from '../support/stack.ts';
import { whyWithout } from '../support/engines.ts';

/** Tests the life of a task from the submission to the landing, and every other way in which a task can end. */

const script = `
rules:
  - { when: { contains: write-bad }, turns: [{ text: "broken\\n" }] }
  - { when: { contains: write-same }, turns: [{ text: "# A repository\\n" }] }
  - { when: { contains: write-slowly }, turns: [{ text: "late\\n", latencyMs: 60000 }] }
  - { when: { contains: write-ci }, turns: [{ text: "on: push\\n" }] }
  - { when: { contains: write-half }, turns: [{ text: "go", finishReason: length, usage: { inputTokens: 7, outputTokens: 1 } }] }
  - { when: { contains: refuse }, turns: [{ text: "I won't.", finishReason: refusal }] }
  - { when: { contains: no-model }, turns: [{ fault: { kind: error, message: the model is on strike, retryable: false } }] }
default: { turns: [{ text: "good\\n", usage: { inputTokens: 7, outputTokens: 3, costUsd: 0.01 } }] }
`;

/** The verification fails if a file contains "broken". */
const files = {
  'README.md': '# A repository\n',
  'check.sh': '! grep -rq broken --include=*.txt . && echo checked || { echo "found: broken"; exit 1; }\n',
};

for (const engine of ['bubblewrap', 'docker'] as const) {
  const absent = await whyWithout(engine);
  describe.skipIf(absent !== null)(`on ${engine}${absent === null ? '' : ` (skipped: ${absent})`}`, () => {
    let stack: Stack;
    beforeAll(async () => {
      stack = await Stack.start({ engine, script });
    }, 180_000);
    afterAll(() => stack?.stop());

    const task = (name: string, rest: object = {}) => ({
      name,
      description: `Write ${name}`,
      prompt: `write ${name}`,
      agent: { kind: 'prompt', file: `${name}.txt` },
      verify: 'sh check.sh',
      ...rest,
    });
    const submit = (repository: TemporaryRepository, tasks: object[], rest: object = {}) =>
      stack.submit({
        repository: repository.path,
        baseBranch: 'main',
        defaults: { model: stack.model },
        tasks,
        ...rest,
      });

    test('several tasks at once: the good ones land, the bad one does not, and dependent tasks wait', async () => {
      await using repository = await temporaryRepository({ files });
      const { runId } = await submit(repository, [
        task('one'),
        task('two', { commit: { type: 'docs', scope: 'guide' } }),
        task('three', { prompt: 'write-bad' }),
        task('after-one', { dependsOn: ['one', 'two'] }),
        task('after-three', { dependsOn: ['three'] }),
      ]);
      const run = await stack.ended(runId);
      expect(run.state).toBe('failed');
      const tasks = await stack.tasks(runId);
      expect(Object.fromEntries([...tasks].map(([name, { state, reason }]) => [name, `${state}: ${reason}`]))).toEqual({
        one: 'merged: null',
        two: 'merged: null',
        three: 'failed: verify ended with exit code 1',
        'after-one': 'merged: null',
        'after-three': 'failed: depends on three, which ended as failed',
      });
      expect(tasks.get('three')?.logTail).toContain('found: broken');
      expect(tasks.get('three')?.rescue).toMatch(/tasks\.git refs\/coppice\/rescue\//);
      expect(tasks.get('one')?.usage).toEqual({ inputTokens: 7, outputTokens: 3, costUsd: 0.01 });

      // The checked-out branch and its files must have moved together, and nothing may be unfinished.
      expect(await repository.git('status', '--porcelain')).toBe('');
      expect(await repository.show('one.txt')).toBe('good\n');
      expect(await repository.show('three.txt')).toBeNull();
      expect(await repository.show('after-one.txt')).toBe('good\n');
      const subjects = (await repository.git('log', '--no-merges', '--format=%s')).split('\n');
      expect(subjects).toEqual(
        expect.arrayContaining(['feat: Write one', 'docs(guide): Write two', 'feat: Write after-one']),
      );
      const trailers = await repository.git('log', '--no-merges', '--grep=Write one', '--format=%(trailers)');
      expect(trailers).toContain(`Coppice-Task: ${tasks.get('one')?.taskId}`);
      expect(trailers).toContain(`Coppice-Run: ${runId}`);
      expect(trailers).toMatch(/Coppice-Effect: \S+/);
      expect(trailers).toContain('Co-Authored-By: scripted/plan.yaml');
      expect((await repository.git('log', '--merges', '--format=%H')).split('\n')).toHaveLength(3);
      expect(await repository.git('fsck', '--strict')).not.toMatch(/error|missing/);

      const events = await stack.events(runId);
      const ofOne = events.filter((event) => event.source.endsWith(tasks.get('one')?.taskId ?? '?'));
      expect(ofOne.map((event) => event.sequence)).toEqual(ofOne.map((_event, index) => String(index + 1)));
      const states = ofOne.flatMap((event) => (event.type === 'coppice.task-state' ? [event.data.to] : []));
      expect(states).toEqual([
        'waiting',
        'preparing',
        'working',
        'committing',
        'verifying',
        'landing',
        'cleaning',
        'merged',
      ]);
      const [submitted, ended, ...more] = await stack.runEvents(runId);
      expect(submitted?.type).toBe('coppice.run-submitted');
      expect(more).toEqual([]);
      const used = [...tasks.values()].map(({ usage }) => usage);
      const usage = {
        inputTokens: used.reduce((sum, { inputTokens }) => sum + inputTokens, 0),
        outputTokens: used.reduce((sum, { outputTokens }) => sum + outputTokens, 0),
        costUsd: expect.closeTo(
          used.reduce((sum, { costUsd }) => sum + (costUsd ?? Number.NaN), 0),
          9,
        ) as number,
      };
      expect(usage.inputTokens).toBeGreaterThan(7);
      expect(run.usage).toEqual(usage);
      expect(ended).toMatchObject({ type: 'coppice.run-ended', data: { usage } });
    });

    test('a task that changes nothing lands nothing, and has that reason', async () => {
      await using repository = await temporaryRepository({ files });
      const { runId } = await submit(repository, [
        task('same', { prompt: 'write-same', agent: { kind: 'prompt', file: 'README.md' } }),
      ]);
      expect((await stack.ended(runId)).state).toBe('succeeded');
      expect((await stack.tasks(runId)).get('same')).toMatchObject({
        state: 'no-changes',
        reason: 'the agent changed nothing',
      });
      expect((await repository.git('log', '--format=%H')).split('\n')).toHaveLength(1);
    });

    test('a truncated or refused answer does not become a file, since a weak check would accept it', async () => {
      await using repository = await temporaryRepository({ files });
      const { runId } = await submit(repository, [
        task('half', { prompt: 'write-half' }),
        task('refused', { prompt: 'refuse' }),
      ]);
      expect((await stack.ended(runId)).state).toBe('failed');
      const tasks = await stack.tasks(runId);
      expect(tasks.get('half')).toMatchObject({
        state: 'failed',
        reason: "the model's answer was cut at its limit of output, so the file would be incomplete",
        usage: { inputTokens: 7, outputTokens: 1 },
      });
      expect(tasks.get('refused')).toMatchObject({ state: 'failed', reason: 'the model refused' });
      expect((await repository.git('log', '--format=%H')).split('\n')).toHaveLength(1);
    });

    test('a task with a manual merge waits for the command; a squash is one commit', async () => {
      await using repository = await temporaryRepository({ files });
      const { runId, tasks } = await submit(repository, [
        task('one', { merge: 'manual', method: 'squash' }),
        task('unverified', { merge: 'manual', verify: false }),
      ]);
      const [taskId, unverified] = tasks.map((each) => each.taskId) as [string, string];
      await stack.reached(runId, taskId, 'ready');
      await stack.reached(runId, unverified, 'ready');
      expect([...(await stack.tasks(runId)).values()].map(({ reason }) => reason)).toEqual([
        'verified; `coppice merge` lands it',
        'not verified; `coppice merge` lands it',
      ]);
      await stack.command('taskDiscard', { taskId: unverified });
      await expect(stack.command('taskApprove', { taskId })).rejects.toMatchObject({
        code: 'conflict',
        message: "a task that is ready can't be approved",
      });
      expect(await repository.show('one.txt')).toBeNull();
      await stack.command('taskMerge', { taskId });
      await stack.ended(runId);
      expect(await repository.show('one.txt')).toBe('good\n');
      expect((await repository.git('log', '--format=%s')).split('\n')).toHaveLength(2);
      await expect(stack.command('taskMerge', { taskId })).rejects.toMatchObject({ code: 'conflict' });
    });

    test('a change to CI configuration waits for approval, and a rejected one does not land', async () => {
      await using repository = await temporaryRepository({ files });
      const ci = { prompt: 'write-ci', agent: { kind: 'prompt', file: '.github/workflows/ci.yml' } };
      const { runId, tasks } = await submit(repository, [task('approved', ci), task('rejected', ci)]);
      const [approved, rejected] = tasks.map(({ taskId }) => taskId) as [string, string];
      await stack.reached(runId, approved, 'awaiting-approval');
      await stack.reached(runId, rejected, 'awaiting-approval');
      expect((await stack.task(approved)).protectedPaths).toEqual(['.github/workflows/ci.yml']);
      await stack.command('taskReject', { taskId: rejected, reason: 'not like this' });
      await stack.command('taskApprove', { taskId: approved });
      await stack.ended(runId);
      const views = await stack.tasks(runId);
      expect(views.get('approved')?.state).toBe('merged');
      expect(views.get('rejected')).toMatchObject({ state: 'discarded', reason: 'not like this' });
      expect(views.get('rejected')?.rescue).not.toBeNull();
    });

    test('two tasks that change the same lines: one lands, the other fails and names the conflict', async () => {
      await using repository = await temporaryRepository({ files });
      const both = (text: string) => ({ prompt: text, agent: { kind: 'prompt', file: 'README.md' } });
      const { runId } = await submit(repository, [task('left', both('write left')), task('right', both('write-ci'))]);
      await stack.ended(runId);
      const states = [...(await stack.tasks(runId)).values()]
        .map(({ state, reason }) => `${state}: ${reason}`)
        .toSorted();
      expect(states).toEqual(['failed: conflicts with main in README.md', 'merged: null']);
    });

    test('a cancelled task and a task that exceeds its time limit stop, and do not land', async () => {
      await using repository = await temporaryRepository({ files });
      const { runId, tasks } = await submit(repository, [
        task('cancelled', { prompt: 'write-slowly' }),
        task('late', { prompt: 'write-slowly', limits: { time: '1s' } }),
      ]);
      const [cancelled] = tasks.map(({ taskId }) => taskId) as [string, string];
      await stack.reached(runId, cancelled, 'working');
      await stack.command('taskCancel', { taskId: cancelled, reason: 'changed my mind' });
      await stack.ended(runId, 30_000);
      const views = await stack.tasks(runId);
      expect(views.get('cancelled')).toMatchObject({ state: 'cancelled', reason: 'changed my mind' });
      expect(views.get('late')).toMatchObject({ state: 'timed-out', reason: 'the agent took longer than 1 s' });
    });

    test('a cancelled run ends every task, also those that have not started', async () => {
      await using repository = await temporaryRepository({ files });
      const many = Array.from({ length: 12 }, (_, index) => task(`t${index}`, { prompt: 'write-slowly' }));
      const { runId } = await submit(repository, many, { concurrency: 2 });
      await stack.cancelRun(runId);
      expect((await stack.ended(runId, 60_000)).state).toBe('cancelled');
      expect([...(await stack.tasks(runId)).values()].every(({ state }) => state === 'cancelled')).toBe(true);
    });

    test("with `merge: branch` only the task's branch is pushed, for a pull request", async () => {
      await using repository = await temporaryRepository({ files, bare: true });
      const { runId } = await submit(repository, [task('one', { merge: 'branch' })]);
      await stack.ended(runId);
      const view = (await stack.tasks(runId)).get('one');
      expect(view?.state).toBe('branch-pushed');
      expect(view?.branch).toMatch(/^coppice\/t[a-z2-7]{16}\/write-one$/);
      expect(await repository.show('one.txt', view?.branch ?? '')).toBe('good\n');
      expect(await repository.show('one.txt')).toBeNull();
    });

    test('a checkout with uncommitted changes is not touched; the landing is stored, and the command to finish it is reported', async () => {
      await using repository = await temporaryRepository({ files });
      await writeFile(path.join(repository.path, 'README.md'), '# mine, not committed\n');
      const { runId } = await submit(repository, [task('one'), task('two', { dependsOn: ['one'] })]);
      await stack.ended(runId);
      const views = await stack.tasks(runId);
      expect(views.get('one')?.state).toBe('landed-pending');
      expect(views.get('two')?.state).toBe('landed-pending');
      expect(await repository.git('status', '--porcelain')).toBe(' M README.md');
      expect(await repository.show('one.txt')).toBeNull();
      expect(await repository.show('two.txt', 'refs/coppice/landed/main')).toBe('good\n');
      expect(await repository.show('one.txt', 'refs/coppice/landed/main')).toBe('good\n');

      const taskId = views.get('one')?.taskId ?? '';
      await expect(stack.command('taskMerge', { taskId })).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining(`To finish: ${views.get('one')?.finishCommand}`),
      });
      await repository.git('stash');
      execFileSync('sh', ['-c', views.get('one')?.finishCommand ?? 'false'], { stdio: 'ignore' });
      const now = await stack.tasks(runId);
      expect(now.get('one')).toMatchObject({ state: 'merged', reason: null, finishCommand: null });
      expect(now.get('two')).toMatchObject({ state: 'landed-pending' });
      expect(await stack.command('taskMerge', { taskId })).toMatchObject({ state: 'merged' });
      expect((await stack.run(runId)).tasks.map(({ state }) => state)).toEqual(['merged', 'landed-pending']);
      const { runs } = await stack.bus.call(api.runList, { tenant: 'default' }, { limit: 500 });
      expect(runs.find((run) => run.runId === runId)?.taskCounts).toEqual({ merged: 1, 'landed-pending': 1 });
    });

    test('setup runs once on the base tree; agent and verify get its result, which does not land', async () => {
      await using repository = await temporaryRepository({ files: { ...files, 'deps.txt': 'v1\n' } });
      const setup = {
        run: 'mkdir -p vendor && cat deps.txt > vendor/lib && date +%s%N > vendor/when',
        inputs: ['deps.txt'],
      };
      const verify = 'grep -q v1 vendor/lib && sh check.sh';
      const { runId } = await submit(repository, [task('one', { setup, verify }), task('two', { setup, verify })]);
      const run = await stack.ended(runId);
      expect(run.tasks.map(({ name, state, reason }) => `${name} ${state}: ${reason}`)).toEqual([
        'one merged: null',
        'two merged: null',
      ]);
      expect(await repository.show('one.txt')).toBe('good\n');
      expect(await repository.git('ls-tree', '-r', '--name-only', 'HEAD')).not.toContain('vendor');
    });

    test('a failing model and an unknown image end the task with the reason', async () => {
      await using repository = await temporaryRepository({ files });
      const { runId } = await submit(repository, [
        task('strike', { prompt: 'no-model' }),
        task('image', { image: 'no/such-image:ever' }),
      ]);
      await stack.ended(runId);
      const views = await stack.tasks(runId);
      expect(views.get('strike')).toMatchObject({
        state: 'failed',
        reason: expect.stringContaining('the model is on strike'),
      });
      expect(views.get('image')).toMatchObject({ state: 'failed', failure: { code: 'image-not-found' } });
    });
  });
}
