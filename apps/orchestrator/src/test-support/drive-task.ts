import type { WireError } from '@coppice/contracts';
import { initialTransition, transition } from 'xstate';
import { taskMachine } from '../machines/task/task-machine.ts';
import type { TaskContext, TaskInput } from '../machines/task/task-context.ts';
import { taskInput } from './task-input.ts';

type Action = { type: string; params?: unknown };
type Sent = { kind: string; id: string; event: { type: string } & Record<string, unknown> };

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

/** Results with which a task goes on, by the machine's name for the invocation. */
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

/** A task machine without an engine: a test gives it events and looks at what it asks for. */
export class DrivenTask {
  #snapshot;
  /** Inputs of the effects that are asked for, by the machine's name for the invocation; the last one of each. */
  readonly inputs: Record<string, Record<string, unknown>> = {};
  /** Events to other actors, in order. */
  readonly sent: Sent[] = [];
  /** The invocation that waits for a result, the last that was started. */
  invocation = '';
  nowMs = 1_000_000;

  constructor(specification: Partial<TaskInput['specification']> = {}) {
    const birth = { kind: 'task', id: 'default.t1', now: this.nowMs, input: taskInput(specification) };
    const [snapshot, actions] = initialTransition(taskMachine, birth);
    this.#snapshot = snapshot;
    this.#note(actions);
  }

  get state(): string {
    const { value } = this.#snapshot;
    return JSON.stringify(value).replaceAll(/["{}]/g, '').replaceAll(':', '.');
  }

  get context(): TaskContext {
    return this.#snapshot.context;
  }

  send(event: { type: string } & Record<string, unknown>): this {
    const [snapshot, actions] = transition(taskMachine, this.#snapshot, { ...event, now: this.nowMs } as never);
    this.#snapshot = snapshot;
    this.#note(actions);
    return this;
  }

  done(invocation: string, output: unknown = goodResults[invocation]): this {
    return this.send({ type: `xstate.done.actor.${invocation}`, output, actorId: invocation });
  }

  failed(invocation: string, error: Partial<WireError> = {}): this {
    const wire = { code: 'unavailable', message: 'no', retryable: true, ...error };
    const effectId = `effect-${invocation}`;
    return this.send({ type: `xstate.error.actor.${invocation}`, error: wire, actorId: invocation, effectId });
  }

  /** Gives each effect its good result until the machine waits for this invocation, or rests in this state. */
  until(target: string): this {
    if (this.state === 'waiting') this.send({ type: 'start' });
    for (let steps = 0; steps < stepsMax; steps++) {
      if (this.invocation === target || this.state === target) return this;
      this.done(this.invocation);
    }
    throw new Error(`the task did not reach ${target}; it is ${this.state}`);
  }

  #note(actions: readonly Action[]): void {
    for (const { type, params } of actions) {
      if (type === 'tell') this.sent.push(params as Sent);
      if (type !== 'xstate.spawnChild') continue;
      const { id, input } = params as { id: string; input: Record<string, unknown> };
      this.inputs[id] = input;
      this.invocation = id;
    }
  }
}

const stepsMax = 40;
