import type { TaskInput } from '../machines/task/task-context.ts';

type Specification = TaskInput['specification'];

/** Returns a task that writes one file with a `prompt` agent. `changes` are fields of its specification. */
export function taskInput(changes: Partial<Specification> = {}): TaskInput {
  return {
    owner: { tenant: 'default', runId: 'r1', taskId: 't1' },
    repository: '/r',
    repositoryId: 'repository1',
    baseBranch: 'main',
    specification: {
      name: 'one',
      description: 'Write one',
      prompt: { text: 'write' },
      dependsOn: [],
      image: 'coppice/agent-runtime',
      model: 'acme/x',
      agent: { kind: 'prompt', file: 'one.txt' },
      setup: null,
      network: { setup: 'none', agent: 'none', verify: 'none' },
      commit: { type: 'feat', scope: null },
      protect: [],
      timeLimitMs: 20_000,
      modelLimits: { task: {}, run: {} },
      verify: 'sh check.sh',
      merge: 'auto',
      method: 'merge',
      ...changes,
    },
  };
}
