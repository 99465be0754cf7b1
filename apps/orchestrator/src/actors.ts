import {
  landingPool,
  modelOperations,
  runItself,
  runOperations,
  sandboxOperations,
  subjects,
  isTaskEnd,
  worktreeOperations,
} from '@coppice/contracts';
import type { CoppiceEvent, EventType, Operation, TaskState, TaskStep } from '@coppice/contracts';
import { answer, command, defineActor, request, send } from '@coppice/durable-actor';
import type { ActorDefinition, Emission, SpanDescription, Step } from '@coppice/durable-actor';
import { attributes } from '@coppice/telemetry';
import { describeTurn } from './agents/loop/describe-calls.ts';
import { landingMachine } from './machines/landing-machine.ts';
import type { TurnRequest } from './machines/landing-machine.ts';
import { runMachine, runStateOf, usageOfEnded } from './machines/run-machine.ts';
import type { RunContext, RunEmitted } from './machines/run-machine.ts';
import { setupMachine } from './machines/setup-machine.ts';
import type { SetupContext, SetupRequest } from './machines/setup-machine.ts';
import { taskMachine } from './machines/task/task-machine.ts';
import { landingId } from './machines/task/land/commands.ts';
import type { TaskEmitted } from './machines/task/task-setup.ts';
import type { TaskContext } from './machines/task/task-context.ts';
import { runSummary, taskCounts, taskSummary } from './views.ts';

/**
 * The four durable actors of the orchestrator. Each definition has the command behind each invocation, the events that
 * the actor publishes, and the handling of events that arrive in the wrong state.
 */

/**
 * Sends a command to the task's node. If the task has a setup, this is the setup's node. Otherwise any node may prepare
 * the worktree, and the task then stays on that node.
 */
const onNode = (operation: Operation) =>
  command(operation, { pool: (_input, context: TaskContext) => context.node ?? 'any' });
const onMergeNode = (operation: Operation) =>
  command(operation, { pool: (_input, context: TaskContext) => context.merge?.node ?? context.node ?? 'any' });
/**
 * Sends a command of a task that holds the landing slot to the landing pool. The other tasks of the branch wait for
 * this task, so its verification must not wait for other commands.
 */
const onMergeNodeFirst = (operation: Operation) =>
  command(operation, {
    pool: (_input, { merge, node, turn }: TaskContext) => {
      const place = merge?.node ?? node;
      if (place === null) return 'any';
      return turn === null ? place : landingPool(place);
    },
  });
const onSetupNode = (operation: Operation) =>
  command(operation, { pool: (_input, context: SetupContext) => context.node ?? 'any' });

const cloudEvent = (type: EventType, self: Emission, data: unknown) =>
  ({
    specversion: '1.0',
    id: self.eventId,
    source: `/coppice/${self.kind}/${self.id}`,
    type: `coppice.${type}`,
    time: self.time,
    datacontenttype: 'application/json',
    sequence: String(self.sequence),
    data,
  }) as CoppiceEvent;

function runEvent(event: RunEmitted, self: Emission): { subject: string; data: CoppiceEvent } {
  const { tenant, runId, requestId, repository, baseBranch, tasks } = event.context;
  const usage = usageOfEnded(event.context);
  const data =
    event.type === 'run-submitted'
      ? { runId, requestId, repository, baseBranch, tasks: tasks.length }
      : { runId, state: event.state, taskCounts: taskCounts(event.context), ...(usage === undefined ? {} : { usage }) };
  return { subject: subjects.event(tenant, runId, runItself, event.type), data: cloudEvent(event.type, self, data) };
}

function taskEvent(event: TaskEmitted, self: Emission): { subject: string; data: CoppiceEvent } {
  const { context } = event;
  const { tenant, runId, taskId } = context.owner;
  const identity = { runId, taskId, name: context.specification.name };
  const subject = subjects.event(tenant, runId, taskId, event.type);
  if (event.type === 'task-turn') {
    const turn = { turn: context.loop?.turns ?? 0, ...describeTurn(event.output), usage: context.usage };
    return { subject, data: cloudEvent(event.type, self, { ...identity, ...turn, ...stepsField(self.steps) }) };
  }
  const { state, reason, failure, branch, commit, landedCommit, finishCommand, rescue, logTail, usage } = context;
  const data =
    event.type === 'task-state'
      ? { ...identity, from: event.from, to: state, reason, ...waitsFor(event), ...stepsField(self.steps) }
      : { ...identity, state, reason, failure, branch, commit, landedCommit, finishCommand, rescue, logTail, usage };
  return { subject, data: cloudEvent(event.type, self, data) };
}

const failedAs = (state: string, message: string | null) =>
  failures.has(state) ? { type: state, message: message ?? '' } : null;
const failures: ReadonlySet<string> = new Set(['failed', 'timed-out'] satisfies TaskState[]);

/** Span of a run. The spans of its tasks are its children. */
function runSpans(context: RunContext): SpanDescription {
  const { tenant, runId, failure } = context;
  const end = runStateOf(context);
  return {
    within: null,
    state: null,
    attributes: { [attributes.coppiceTenant]: tenant, [attributes.coppiceRunId]: runId },
    end,
    failure: failedAs(end, failure?.message ?? null),
  };
}

function taskSpans({ owner, specification, state, reason }: TaskContext): SpanDescription {
  const { tenant, runId, taskId } = owner;
  return {
    within: { kind: 'run', id: `${tenant}.${runId}` },
    state,
    attributes: {
      [attributes.coppiceTenant]: tenant,
      [attributes.coppiceRunId]: runId,
      [attributes.coppiceTaskId]: taskId,
      [attributes.coppiceTaskName]: specification.name,
    },
    end: state,
    failure: failedAs(state, reason),
  };
}

/** Returns a task's dependencies for its first event. Later events omit them, since they never change. */
function waitsFor({ from, context }: Extract<TaskEmitted, { type: 'task-state' }>): { dependsOn?: string[] } {
  const { dependsOn } = context.specification;
  return from !== null || dependsOn.length === 0 ? {} : { dependsOn };
}

const stepsField = (steps: readonly Step[]): { steps?: TaskStep[] } =>
  steps.length === 0
    ? {}
    : {
        steps: steps.map(({ orderedAtMs, endedAtMs, ...step }) => ({
          ...step,
          orderedAt: new Date(orderedAtMs).toISOString(),
          endedAt: new Date(endedAtMs).toISOString(),
        })),
      };

/**
 * Returns the task state for a machine's state, such as `working` for `working.prompt.asking`. `pushing` counts as
 * `landing`.
 */
const outer = (state: string): TaskState => {
  const name = state.split('.')[0] ?? '';
  return (name === 'pushing' ? 'landing' : name) as TaskState;
};
const refusal = (verb: string) => (state: string) => {
  const name = outer(state);
  const ended = isTaskEnd(name) || (name as string) === 'ended';
  return ended ? `the task has ended and can't be ${verb}` : `a task that is ${name} can't be ${verb}`;
};
const refuse = (verb: string) => ({ otherwise: 'refuse', refusal: refusal(verb) }) as const;

export const runActor: ActorDefinition = defineActor({
  kind: 'run',
  version: 1,
  machine: runMachine,
  sources: { createTasks: command(runOperations.createTasks), cancelTasks: command(runOperations.cancelTasks) },
  actions: { notify: send() },
  emitted: runEvent,
  spans: ({ context }) => runSpans(context),
  events: {
    'task-idle': { otherwise: 'refuse' },
    'task-ended': { otherwise: 'refuse' },
    cancel: { otherwise: 'refuse', refusal: () => "the run has ended and can't be cancelled" },
  },
  summary: ({ context }) => runSummary(context),
  reportedState: (context: RunContext) => runStateOf(context),
});

export const taskActor: ActorDefinition = defineActor({
  kind: 'task',
  version: 2,
  machine: taskMachine,
  sources: {
    resolveSetup: command(worktreeOperations.resolveSetup),
    setup: request<SetupRequest>('setup', {
      id: ({ owner, setupKey }) => `${owner.tenant}.${setupKey}`,
      create: (input) => input,
      event: (_input, effect) => ({ type: 'want', ...effect }),
      cancel: (_input, { effectId }) => ({ type: 'unwant', effectId }),
    }),
    prepare: onNode(worktreeOperations.prepare),
    createSandbox: onNode(sandboxOperations.create),
    turn: command(modelOperations.turn),
    write: onNode(sandboxOperations.write),
    tools: onNode(sandboxOperations.tools),
    checkpoint: onNode(worktreeOperations.checkpoint),
    removeSandbox: onNode(sandboxOperations.remove),
    commit: onNode(worktreeOperations.commit),
    prepareMerge: onNode(worktreeOperations.prepareMerge),
    verify: onMergeNodeFirst(sandboxOperations.run),
    takeTurn: request<TurnRequest>('landing', {
      id: landingId,
      create: () => ({}),
      event: ({ taskId, holdMs }, effect) => ({ type: 'acquire', taskId, holdMs, ...effect }),
      cancel: (_input, { effectId }) => ({ type: 'release', turn: effectId }),
    }),
    land: onMergeNode(worktreeOperations.land),
    pushBranch: onNode(worktreeOperations.pushBranch),
    removeWorktree: onNode(worktreeOperations.remove),
  },
  actions: { notify: send() },
  emitted: taskEvent,
  spans: ({ context }) => taskSpans(context),
  events: {
    start: refuse('started'),
    skip: refuse('skipped'),
    cancel: refuse('cancelled'),
    approve: refuse('approved'),
    reject: refuse('rejected'),
    merge: refuse('merged'),
    discard: refuse('discarded'),
  },
  summary: ({ context }) => taskSummary(context),
  reportedState: ({ state }: TaskContext) => state,
  // In version 1 a task made a new merge whenever it got the landing slot. The states haven't changed since, so a
  // snapshot of version 1 needs no change.
  migrations: { 1: (snapshot) => snapshot },
});

export const landingActor: ActorDefinition = defineActor({
  kind: 'landing',
  version: 1,
  machine: landingMachine,
  actions: { answer: answer() },
  events: { acquire: { otherwise: 'refuse' }, release: { otherwise: 'refuse' } },
});

export const setupActor: ActorDefinition = defineActor({
  kind: 'setup',
  version: 1,
  machine: setupMachine,
  sources: {
    prepareSetup: onSetupNode(worktreeOperations.prepareSetup),
    run: onSetupNode(sandboxOperations.run),
    sealSetup: onSetupNode(worktreeOperations.sealSetup),
    discardSetup: onSetupNode(worktreeOperations.discardSetup),
  },
  actions: { answer: answer() },
  events: { want: { otherwise: 'refuse' }, unwant: { otherwise: 'refuse' } },
});
