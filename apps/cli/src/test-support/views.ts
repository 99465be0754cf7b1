import type { RunView, TaskView } from '@coppice/contracts';

/** Returns a task view with these fields. All other fields are those of a new task. */
export const taskView = (fields: Partial<TaskView> & { name: string; state: string }): TaskView => ({
  taskId: `t${fields.name
    .replaceAll(/[^a-z2-7]/g, 'a')
    .padEnd(16, 'a')
    .slice(0, 16)}`,
  runId: 'raaaaaaaaaaaaaaaa',
  tenant: 'default',
  description: `Do ${fields.name}`,
  reason: null,
  failure: null,
  branch: null,
  commit: null,
  landedCommit: null,
  finishCommand: null,
  rescue: null,
  filesChanged: null,
  protectedPaths: [],
  usage: { inputTokens: 0, outputTokens: 0, costUsd: null },
  modelTurns: 0,
  modelTurnsUnknown: 0,
  logTail: null,
  logArtifact: null,
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:00.000Z',
  endedAt: null,
  ...fields,
});

export const runViewOf = (tasks: TaskView[], fields: Partial<RunView> = {}): RunView => ({
  runId: 'raaaaaaaaaaaaaaaa',
  tenant: 'default',
  requestId: 'request',
  repository: '/repository',
  baseBranch: 'main',
  state: 'running',
  concurrency: 4,
  tasks: tasks.map(({ taskId, name, state, reason }) => ({ taskId, name, state, reason })),
  createdAt: '2026-01-01T00:00:00.000Z',
  endedAt: null,
  ...fields,
});
