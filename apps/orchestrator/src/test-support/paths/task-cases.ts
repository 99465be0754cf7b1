import { agentSchema } from '@coppice/contracts';
import { isEffectFailed } from '@coppice/durable-actor';
import type { AnyMachineSnapshot, EventObject } from 'xstate';
import { taskActor } from '../../actors.ts';
import type { TaskContext, TaskInput } from '../../machines/task/task-context.ts';
import { taskInput } from '../task-input.ts';
import type { PathCase } from './generate-paths.ts';
import { commandResults, loopAnswers, merges, mounts, node, promptAnswers, toolResults } from './outcomes.ts';

const commit = {
  status: 'committed',
  commit: 'b'.repeat(40),
  tree: 'd'.repeat(40),
  filesChanged: 1,
  paths: ['one.txt'],
  protectedPaths: [],
};
const [merge, protectingMerge, ...otherMerges] = merges;

/** Results of each effect. A case below may override them. */
const outcomes = {
  resolveSetup: [{ baseCommit: 'a'.repeat(40), inputsHash: 'h1', node }],
  setup: [{}],
  prepare: [{ node, branch: 'coppice/t1/one', baseCommit: 'a'.repeat(40), mounts }],
  createSandbox: [{ sandboxId: 't1-work', engine: 'bubblewrap', node }],
  turn: promptAnswers,
  write: [{ bytes: 5 }],
  readInstructions: [{ results: [] }],
  loopTurn: loopAnswers,
  tools: toolResults,
  checkpoint: [{ commit: 'f'.repeat(40) }],
  closeSandbox: [{}],
  commit: [{ status: 'no-changes', ignored: 0 }, commit],
  prepareMerge: [merge, ...otherMerges.slice(1)],
  verify: commandResults,
  takeTurn: [
    { turn: 'landing_slot_1', waited: false },
    { turn: 'landing_slot_2', waited: true },
  ],
  prepareLanding: merges,
  verifyLanding: commandResults,
  land: [
    { status: 'landed', commit: 'c'.repeat(40) },
    { status: 'moved', tip: '9'.repeat(40) },
    {
      status: 'landed-pending',
      commit: 'c'.repeat(40),
      reason: 'the checkout has changes',
      finishCommand: 'git merge',
    },
  ],
  pushBranch: [{ branch: 'coppice/t1/one' }],
  removeSandbox: [{}],
  removeWorktree: [{ rescue: null }],
};

const outside = [
  { type: 'start' },
  { type: 'skip', reason: 'depends on zero, which ended as failed' },
  { type: 'cancel', reason: 'enough' },
  { type: 'approve' },
  { type: 'reject', reason: 'no' },
  { type: 'merge' },
  { type: 'discard', keepBranch: true },
] as EventObject[];

const situation = (context: TaskContext) => [
  context.end,
  context.sandboxOpen,
  context.worktreeOpen,
  Math.min(context.retries + context.verifyRetries + context.modelTurnsUnknown, 1),
  context.merge?.tree,
  context.merge?.checkout === null,
  context.verifiedTree,
  [context.protectedPaths.length, context.approvedPaths.length],
  [context.loop?.next.do, context.loop?.next.do === 'ask' && context.loop.next.for],
  context.unsaved,
];

/**
 * Returns false for events that take no new transition. These are events after the task's end is decided, and further
 * failures after a step has failed.
 */
function isWorthwhile(snapshot: AnyMachineSnapshot, event: EventObject): boolean {
  const context = snapshot.context as TaskContext;
  const isResult = event.type.startsWith('xstate.done.');
  if (isResult) return true;
  const hasFailed = context.retries + context.verifyRetries + context.modelTurnsUnknown > 0;
  if (isEffectFailed(event) && event.error.code !== 'invalid-request' && hasFailed) return false;
  return context.end === null || (isEffectFailed(event) && event.error.code === 'invalid-request');
}

const taskCase = (
  name: string,
  specification: Partial<TaskInput['specification']>,
  more: PathCase['outcomes'] = {},
): PathCase => ({
  name: `task (${name})`,
  actor: taskActor,
  id: (suffix) => `default.t${suffix}`,
  input: (suffix): TaskInput => ({
    ...taskInput({ timeLimitMs: 3_600_000, ...specification }),
    owner: { tenant: 'default', runId: 'r1', taskId: `t${suffix}` },
  }),
  outcomes: { ...outcomes, ...more },
  outside,
  situation,
  isWorthwhile,
});

export const taskCases: readonly PathCase[] = [
  taskCase('prompt, lands by itself', {}),
  taskCase(
    'loop, with a setup, pushes its branch',
    { agent: agentSchema.parse({ kind: 'loop' }), setup: { run: 'npm ci', inputs: [] }, merge: 'branch' },
    { commit: [commit], prepareMerge: [merge], verify: commandResults.slice(0, 1) },
  ),
  taskCase(
    'prompt, protected, merged by hand, not verified',
    { verify: false, merge: 'manual', protect: ['ci.yml'] },
    {
      turn: promptAnswers.slice(0, 1),
      prepareMerge: [{ ...protectingMerge, checkout: null }],
      prepareLanding: [{ ...protectingMerge, checkout: null }],
    },
  ),
];
