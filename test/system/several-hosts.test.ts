import { rm } from 'node:fs/promises';
import { api } from '@coppice/contracts';
import type { RunView } from '@coppice/contracts';
import { readActor } from '@coppice/durable-actor';
import { eventually, temporaryRepository } from '@coppice/testing';
import type { TemporaryRepository } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { httpRemote } from '../../apps/worktree-service/src/test-support/http-remote.ts';
import type { HttpRemote } from '../../apps/worktree-service/src/test-support/http-remote.ts';
import { whyWithout } from '../support/engines.ts';
import { Stack } from '../support/stack.ts';

/**
 * Tests two hosts as in docs/operations.md. Each has its own node name and data folder. Both share the bus, and access
 * a repository by its URL.
 */
const nodes = ['node-1', 'node-2'];
const lostAfterMs = 6_000;
const script = `
rules:
  - { when: { contains: slowly }, turns: [{ text: "good\\n", latencyMs: 6000 }] }
default: { turns: [{ text: "good\\n", latencyMs: 500 }] }
`;
const tenant = 'default';
const runMsMax = 120_000;

const absent = await whyWithout('bubblewrap');

describe.skipIf(absent !== null)(`several hosts${absent === null ? '' : ` (skipped: ${absent})`}`, () => {
  let stack: Stack;
  let origin: TemporaryRepository;
  let remote: HttpRemote;

  beforeAll(async () => {
    stack = await Stack.start({
      engine: 'bubblewrap',
      script,
      nodes,
      // With this low concurrency no host takes all tasks.
      environment: { COPPICE_NODE_LOST_AFTER_MS: String(lostAfterMs), COPPICE_WORKTREE_CONCURRENCY: '2' },
    });
    origin = await temporaryRepository({ files: { 'README.md': '# A repository\n' }, bare: true });
    remote = await httpRemote(origin.path);
  }, 180_000);
  afterAll(async () => {
    await stack?.stop();
    await remote?.[Symbol.asyncDispose]();
    await origin?.[Symbol.asyncDispose]();
  });

  const submit = (name: string, count: number, rest: object = {}) =>
    stack.submit({
      repository: remote.url,
      baseBranch: 'main',
      concurrency: count,
      defaults: { model: stack.model },
      tasks: Array.from({ length: count }, (_, index) => ({
        name: `${name}-${index}`,
        description: `Write ${name}-${index}`,
        prompt: `write ${name}`,
        agent: { kind: 'prompt', file: `${name}-${index}.txt` },
        verify: `test -f ${name}-${index}.txt`,
        ...rest,
      })),
    });
  const nodeOf = async (taskId: string): Promise<string | null> => {
    const actor = await readActor(stack.bus, 'task', `${tenant}.${taskId}`);
    return ((actor?.context ?? actor?.summary) as { node?: string } | null)?.node ?? null;
  };

  /** Waits until all tasks are working. Fails if a host has no task. @returns the host of each task */
  async function nodesAtWork(runId: string, tasks: { taskId: string }[]): Promise<Map<string, string | null>> {
    for (const { taskId } of tasks) await stack.reached(runId, taskId, 'working');
    const on = new Map(await Promise.all(tasks.map(async ({ taskId }) => [taskId, await nodeOf(taskId)] as const)));
    expect(new Set(on.values())).toEqual(new Set(nodes));
    return on;
  }

  /** Checks that the tasks of node-1 landed, and that those of node-2 failed with a matching reason. */
  function expectEnds({ tasks }: RunView, on: ReadonlyMap<string, string | null>, why: RegExp): void {
    const landed = tasks.filter(({ state }) => state === 'merged').map(({ taskId }) => on.get(taskId));
    const failed = tasks.filter(({ state, reason }) => state === 'failed' && why.test(reason ?? ''));
    expect(new Set(landed)).toEqual(new Set(['node-1']));
    expect(new Set(failed.map(({ taskId }) => on.get(taskId)))).toEqual(new Set(['node-2']));
    expect(landed.length + failed.length).toBe(tasks.length);
  }

  test('tasks spread over both hosts, each with a setup on its own host, and land', async () => {
    const setup = { run: 'date +%N > made.txt', inputs: ['README.md'] };
    const { runId, tasks } = await submit('spread', 8, {
      setup,
      verify: 'test -s made.txt && ls spread-*.txt',
    });
    const on = new Map<string, string>();
    await eventually(
      async () => {
        for (const { taskId } of tasks) {
          const node = await nodeOf(taskId);
          if (node !== null) on.set(taskId, node);
        }
        return on.size === tasks.length;
      },
      { timeoutMs: runMsMax },
    );
    expect([...new Set(on.values())].toSorted()).toEqual(nodes);
    const run = await stack.ended(runId, runMsMax);
    expect(run.tasks.map(({ state, reason }) => `${state}: ${reason}`)).toEqual(tasks.map(() => 'merged: null'));
    expect((await origin.git('log', '--merges', '--format=%H', 'main')).split('\n')).toHaveLength(tasks.length);
    // The host that has the commit answers these calls.
    for (const { taskId, name } of tasks) {
      const { patch } = await stack.bus.call(api.taskDiff, { tenant }, { taskId });
      expect(patch).toContain(`+++ b/${name}.txt`);
      const { bundle, work } = await stack.bus.call(api.taskBundle, { tenant }, { taskId });
      expect([work, bundle]).toEqual(['landed', expect.stringMatching(`^bundle/${tenant}/${taskId}/`)]);
    }
  }, 180_000);

  test('tasks of a permanently lost host fail with a reason that names the host; those of the other host land', async () => {
    const { runId, tasks } = await submit('lost', 6, { prompt: 'write slowly' });
    const on = await nodesAtWork(runId, tasks);
    await stack.killNode('node-2');
    await rm(stack.dataFolderOf('node-2'), { recursive: true });

    const run = await stack.ended(runId, runMsMax);
    expect(run.state).toBe('failed');
    expectEnds(run, on, /its host node-2 is gone/);
    // The tasks of the lost host must not block later runs.
    const { runId: next } = await submit('next', 2);
    expect((await stack.ended(next, runMsMax)).state).toBe('succeeded');
  }, 180_000);

  test('when an empty host with the same name replaces a host, its tasks fail at once, and it gets new tasks', async () => {
    await stack.startNode('node-2');
    const { runId, tasks } = await submit('replaced', 6, { prompt: 'write slowly' });
    const on = await nodesAtWork(runId, tasks);
    await stack.killNode('node-2');
    await rm(stack.dataFolderOf('node-2'), { recursive: true });
    await stack.startNode('node-2');
    expectEnds(await stack.ended(runId, runMsMax), on, /sandbox|worktree/);
    const { runId: next, tasks: more } = await submit('again', 6, { prompt: 'write slowly' });
    await nodesAtWork(next, more);
    expect((await stack.ended(next, runMsMax)).state).toBe('succeeded');
  }, 180_000);
});
