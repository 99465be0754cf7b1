import { temporaryRepository } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Stack } from '../support/stack.ts';

/** Tests the whole stack with the restricted users of the bus. */
let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start({ engine: 'none', script: 'default: { turns: [{ text: "good\\n" }] }' });
}, 180_000);
afterAll(() => stack?.stop());

test('a run goes from submission to merge', { timeout: 120_000 }, async () => {
  await using repository = await temporaryRepository({ files: { 'README.md': '# A\n' } });
  const { runId } = await stack.submit({
    repository: repository.path,
    baseBranch: 'main',
    tasks: [
      {
        name: 'one',
        description: 'Write one',
        prompt: 'write'.repeat(2_000),
        agent: { kind: 'prompt', file: 'one.txt' },
        model: stack.model,
        verify: 'cat one.txt',
      },
    ],
  });
  const run = await stack.ended(runId).catch((error: unknown) => {
    for (const name of ['orchestrator', 'llm-gateway', 'worktree-service', 'container-service'] as const)
      console.log(name, stack.logs(name));
    throw error;
  });
  expect(run.state).toBe('succeeded');
  for (const name of ['orchestrator', 'llm-gateway', 'worktree-service', 'container-service'] as const) {
    const refused = stack
      .logs(name)
      .split('\n')
      .filter((line) => /permission|Permissions/.test(line));
    expect([name, refused]).toEqual([name, []]);
  }
});
