import type { EventObject } from 'xstate';
import { landingActor, runActor, setupActor } from '../../actors.ts';
import type { LandingContext } from '../../machines/landing-machine.ts';
import type { RunContext, RunInput } from '../../machines/run-machine.ts';
import type { SetupContext, SetupRequest } from '../../machines/setup-machine.ts';
import type { PathCase } from './generate-paths.ts';
import { commandResults, mounts, node } from './outcomes.ts';

/** Path cases of the run, landing and setup machines. */

const usage = { inputTokens: 10, outputTokens: 2, costUsd: 0.5 };
const ended = (taskId: string, state: string): EventObject =>
  ({ type: 'task-ended', taskId, state, reason: null, usage }) as EventObject;

/** Three tasks that run one at a time. The second depends on the first. */
export const runCase: PathCase = {
  name: 'run',
  actor: runActor,
  id: (suffix) => `default.r${suffix}`,
  input: (suffix): RunInput => ({
    tenant: 'default',
    runId: `r${suffix}`,
    requestId: 'request',
    requestHash: 'hash',
    repository: '/r',
    baseBranch: 'main',
    concurrency: 1,
    modelLimits: {},
    specificationArtifact: 'run/specification',
    tasks: [
      { taskId: 'one', name: 'one', dependsOn: [] },
      { taskId: 'two', name: 'two', dependsOn: [0] },
      { taskId: 'three', name: 'three', dependsOn: [] },
    ],
  }),
  outcomes: { createTasks: [{ tasks: 3 }], cancelTasks: [{ tasks: 3 }] },
  outside: [
    ended('one', 'merged'),
    ended('one', 'failed'),
    ended('two', 'merged'),
    ended('three', 'no-changes'),
    ...['one', 'two', 'three'].map((taskId) => ended(taskId, 'cancelled')),
    { type: 'task-idle', taskId: 'one' } as EventObject,
    { type: 'cancel', reason: 'enough' } as EventObject,
  ],
  situation: ({ tasks, cancelReason, retries }: RunContext) => [
    tasks.map(({ state }) => state),
    cancelReason,
    retries > 0,
  ],
  isWorthwhile: (snapshot, event) => {
    const { tasks, retries, cancelReason } = snapshot.context as RunContext;
    const { taskId, state: end } = event as { taskId?: string; state?: string };
    if (event.type.startsWith('xstate.error.') && retries > 0) return false;
    if (taskId === undefined) return true;
    // A task that hasn't started reports to its run only if it is cancelled.
    const state = tasks.find((task) => task.taskId === taskId)?.state;
    if (end === 'cancelled') return cancelReason !== null && (state === 'waiting' || state === 'active');
    return state === 'active' || (state === 'idle' && event.type === 'task-ended');
  },
};

const asks = (task: string) => ({
  effectId: `task_default_${task}_1`,
  replyTo: { kind: 'task', id: `default.${task}` },
});

/** Three tasks that land on one branch. */
export const landingCase: PathCase = {
  name: 'landing',
  actor: landingActor,
  id: (suffix) => `default.b${suffix}`,
  input: () => ({}),
  outcomes: {},
  outside: [
    ...['one', 'two', 'three'].map((task) => ({
      type: 'acquire',
      ...asks(task),
      taskId: task,
      holdMs: 3_600_000,
    })),
    ...['one', 'two', 'three'].map((task) => ({ type: 'release', turn: asks(task).effectId })),
  ],
  situation: ({ holder, queue }: LandingContext) => [holder?.taskId, holder?.waited, queue.map(({ taskId }) => taskId)],
  isWorthwhile: (snapshot, event) => {
    const { holder, queue } = snapshot.context as LandingContext;
    const { effectId } = event as { effectId?: string };
    return effectId === undefined || ![holder, ...queue].some((waiting) => waiting?.effectId === effectId);
  },
};

/** A setup that two tasks wait for. */
export const setupCase: PathCase = {
  name: 'setup',
  actor: setupActor,
  id: (suffix) => `default.s${suffix}`,
  input: (suffix): SetupRequest => ({
    owner: { tenant: 'default', runId: 'r1', taskId: 't1' },
    repository: '/r',
    setupKey: `s${suffix}`,
    node,
    baseCommit: 'a'.repeat(40),
    run: 'npm ci',
    image: 'coppice/agent-runtime',
    network: 'none',
    timeLimitMs: 3_600_000,
  }),
  outcomes: {
    prepareSetup: [{ status: 'sealed' }, { status: 'prepared', mounts, node }],
    run: commandResults,
    sealSetup: [{ files: 3 }],
    discardSetup: [{}],
  },
  outside: [
    ...['one', 'two'].map((task) => ({ type: 'want', ...asks(task) })),
    { type: 'unwant', effectId: asks('one').effectId } as EventObject,
  ],
  situation: ({ waiting, retries, outcome, attempt }: SetupContext) => [
    waiting.map(({ effectId }) => effectId),
    retries,
    outcome?.status,
    Math.min(attempt, 2),
  ],
  isWorthwhile: (snapshot, event) => {
    const { waiting } = snapshot.context as SetupContext;
    const { effectId } = event as { effectId?: string };
    if (event.type === 'want') return !waiting.some((each) => each.effectId === effectId);
    return event.type !== 'unwant' || waiting.some((each) => each.effectId === effectId);
  },
};
