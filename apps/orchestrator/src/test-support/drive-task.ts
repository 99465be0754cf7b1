import { taskMachine } from '../machines/task/task-machine.ts';
import type { TaskInput } from '../machines/task/task-context.ts';
import { DrivenMachine } from './drive-machine.ts';
import { taskInput } from './task-input.ts';

const node = 'node1';
const mounts = [{ source: '/somewhere', target: '/workspace', readOnly: false }];
const merge = { status: 'merged-in-store', tip: '1', commit: 'c', tree: 'd', protectedPaths: [], node };
const passed = {
  exitCode: 0,
  signal: null,
  timedOut: false,
  outOfMemory: false,
  standardOutput: '',
  standardError: '',
  logArtifact: null,
  durationMs: 1,
};

/** Successful results of effects, by the machine's name for the invocation. */
export const goodResults: Readonly<Record<string, unknown>> = {
  resolveSetup: { baseCommit: 'a', inputsHash: 'h', node },
  setup: {},
  prepare: { node, branch: 'coppice/t1/one', baseCommit: 'a', mounts },
  createSandbox: { sandboxId: 't1-work', engine: 'none', node },
  turn: {
    turnId: 'turn-1',
    text: { text: 'good' },
    toolCalls: [],
    finishReason: 'stop',
    usage: { inputTokens: 1, outputTokens: 1, costUsd: 0 },
    responseModel: 'm',
    latencyMs: 1,
  },
  write: { bytes: 4 },
  readInstructions: { results: [] },
  loopTurn: {
    turnId: 'turn-1',
    text: { text: '' },
    toolCalls: [{ id: 'finish-1', name: 'finish', arguments: { text: '{"summary":"Done."}' } }],
    finishReason: 'tool-calls',
    usage: { inputTokens: 10, outputTokens: 5, costUsd: 0.5 },
    responseModel: 'm',
    latencyMs: 1,
  },
  closeSandbox: {},
  commit: {
    status: 'committed',
    commit: 'b',
    tree: 'd',
    filesChanged: 1,
    paths: ['one.txt'],
    protectedPaths: [],
  },
  prepareMerge: { ...merge, checkout: { mounts, setupIsCurrent: true } },
  verify: passed,
  takeTurn: { turn: 'slot', waited: false },
  prepareLanding: { ...merge, checkout: null },
  verifyLanding: passed,
  land: { status: 'landed', commit: 'c' },
  pushBranch: { branch: 'coppice/t1/one' },
  removeSandbox: {},
  removeWorktree: { rescue: null },
};
export const mergedInStore = merge;
export const commandPassed = passed;

export class DrivenTask extends DrivenMachine<typeof taskMachine> {
  constructor(specification: Partial<TaskInput['specification']> = {}) {
    super(taskMachine, { kind: 'task', id: 'default.t1', now: 1_000_000, input: taskInput(specification) });
  }

  override done(invocation: string, output: unknown = goodResults[invocation]): this {
    return super.done(invocation, output);
  }

  /**
   * Gives each effect its successful result, until the machine has started the invocation `target` or is in the state
   * `target`.
   */
  until(target: string): this {
    if (this.state === 'waiting') this.send({ type: 'start' });
    for (let steps = 0; steps < stepsMax; steps++) {
      if (this.invocation === target || this.state === target) return this;
      this.done(this.invocation);
    }
    throw new Error(`the task did not reach ${target}; it is ${this.state}`);
  }
}

const stepsMax = 40;
