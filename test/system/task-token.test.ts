import { isDeepStrictEqual } from 'node:util';
import { gatewayCalls } from '@coppice/contracts';
import { eventually, temporaryRepository } from '@coppice/testing';
import { expect, test } from 'vitest';
import { Stack } from '../support/stack.ts';

/** Tests that model calls of a program with a running task's token count towards the run file's limits. */

const script = `
rules:
  - { when: { contains: slowly }, turns: [{ text: "late\\n", latencyMs: 60000 }] }
default: { turns: [{ text: "good\\n", usage: { inputTokens: 70, outputTokens: 30, costUsd: 0.01 } }] }
`;

test("the limits of the run file apply to a task's token, and no token is made after the task has ended", async () => {
  await using stack = await Stack.start({
    engine: 'none',
    script,
    environment: { COPPICE_GATEWAY_HTTP: '127.0.0.1:0' },
  });
  await using repository = await temporaryRepository({ files: { 'check.sh': 'true\n' } });
  const { runId, tasks } = await stack.submit({
    repository: repository.path,
    baseBranch: 'main',
    limits: { tokens: 100_000 },
    defaults: { model: stack.model, verify: false, agent: { kind: 'prompt', file: 'NOTES.md' } },
    tasks: [{ name: 'notes', description: 'Write', prompt: 'write slowly', limits: { tokens: 10_000, time: '5m' } }],
  });
  const taskId = tasks[0]?.taskId ?? '';
  await stack.reached(runId, taskId, 'working');
  expect((await stack.task(taskId)).modelLimits).toEqual({ task: { tokens: 10_000 }, run: { tokens: 100_000 } });
  expect((await stack.run(runId)).modelLimits).toEqual({ tokens: 100_000 });

  const mint = () =>
    stack.bus.call(
      gatewayCalls.mintToken,
      { service: 'llm-gateway' },
      { grant: { tenant: 'default', runId, taskId, models: [stack.model] }, ttlMs: 60_000 },
    );
  const { token, addresses } = await mint();
  const ask = (mostTokens: number) =>
    fetch(`${addresses[0]}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({
        model: stack.model,
        messages: [{ role: 'user', content: 'hi' }],
        max_tokens: mostTokens,
      }),
    });
  const answer = await ask(100);
  expect([answer.status, await answer.json()]).toMatchObject([200, { usage: { total_tokens: 100 } }]);
  const tooMuch = await ask(10_000);
  expect([tooMuch.status, await tooMuch.text()]).toEqual([429, expect.stringContaining(`the limit of task ${taskId}`)]);
  const owner = { tenant: 'default', runId, taskId };
  const limits = { task: { tokens: 10_000 }, run: { tokens: 100_000 } };
  await eventually(async () => {
    const { budgets } = await stack.bus.call(gatewayCalls.budgets, { service: 'llm-gateway' }, { owner, limits });
    const charged = budgets.map(({ name, limit, used }) => [name, limit.tokens, used.tokens]);
    return isDeepStrictEqual(charged, [
      [`task ${taskId}`, 10_000, 100],
      [`run ${runId}`, 100_000, 100],
    ]);
  });

  await stack.command('taskCancel', { taskId });
  await stack.ended(runId);
  await expect(mint()).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('has ended (cancelled)') as unknown,
  });
}, 180_000);
