import { buckets, runLimits } from '@coppice/contracts';
import { temporaryRepository } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Stack } from '../support/stack.ts';

/** Tests the largest allowed run. The value of its actor must stay within its limit. */

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start({
    engine: 'none',
    script: `
rules: [{ when: { contains: wait }, turns: [{ text: late, latencyMs: 600000 }] }]
default: { turns: [{ fault: { kind: error, message: no, retryable: false } }] }
`,
  });
}, 180_000);
afterAll(() => stack?.stop());

const longest = (text: string, length: number) => text.padEnd(length, 'x');
/** Name and description have the maximum length. Tests add ten dependencies. */
const task = (index: number, prompt: string) => ({
  name: longest(`task-${index}-`, 63),
  description: longest(`Task ${index} `, 200),
  prompt: longest(prompt, 300),
  agent: { kind: 'prompt', file: 'x.txt' },
  verify: 'true',
});
const nameOf = (index: number) => longest(`task-${index}-`, 63);

async function valueBytes(runId: string): Promise<number> {
  return (await stack.bus.keyValue(buckets.actors).get(`run.default.${runId}`))?.value.length ?? 0;
}

describe(`a run of ${runLimits.tasksMax} tasks`, () => {
  test('in which the first task fails: all tasks that depend on it end with that reason', async () => {
    await using repository = await temporaryRepository();
    const tasks = Array.from({ length: runLimits.tasksMax }, (_, index) => {
      const dependsOn =
        index === 0 ? [] : Array.from({ length: Math.min(index, 10) }, (_unused, back) => nameOf(index - 1 - back));
      return { ...task(index, 'fail'), dependsOn };
    });
    const { runId } = await stack.submit({
      repository: repository.path,
      baseBranch: 'main',
      defaults: { model: stack.model },
      tasks,
    });
    const run = await stack.ended(runId, 120_000);
    expect(run.state).toBe('failed');
    expect(run.tasks).toHaveLength(runLimits.tasksMax);
    expect(run.tasks.filter(({ state }) => state === 'failed')).toHaveLength(runLimits.tasksMax);
    expect(run.tasks.at(-1)?.reason).toMatch(/^depends on task-489-x+/);
    expect(await valueBytes(runId)).toBeLessThan(256 * 1024);
  }, 180_000);

  test('of which every task can be read as soon as the run is accepted', async () => {
    await using repository = await temporaryRepository();
    const submitted = await stack.submit({
      repository: repository.path,
      baseBranch: 'main',
      defaults: { model: stack.model },
      tasks: Array.from({ length: runLimits.tasksMax }, (_, index) => task(index, 'fail')),
    });
    // Reads the last tasks first, since they are created last.
    for (const { taskId, name } of submitted.tasks.toReversed().slice(0, 50))
      expect(await stack.task(taskId)).toMatchObject({ taskId, name });
    await stack.cancelRun(submitted.runId);
    await stack.ended(submitted.runId, 120_000);
  }, 180_000);

  test('that is cancelled: all tasks end as cancelled', async () => {
    await using repository = await temporaryRepository();
    const tasks = Array.from({ length: runLimits.tasksMax }, (_, index) => task(index, 'wait'));
    const { runId } = await stack.submit({
      repository: repository.path,
      baseBranch: 'main',
      concurrency: 4,
      defaults: { model: stack.model },
      tasks,
    });
    await stack.cancelRun(runId);
    const run = await stack.ended(runId, 120_000);
    expect(run.state).toBe('cancelled');
    expect(new Set(run.tasks.map(({ state }) => state))).toEqual(new Set(['cancelled']));
    expect(await valueBytes(runId)).toBeLessThan(256 * 1024);
  }, 180_000);
});
