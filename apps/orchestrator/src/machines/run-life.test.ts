import { describe, expect, test } from 'vitest';
import { DrivenMachine } from '../test-support/drive-machine.ts';
import { runMachine } from './run-machine.ts';

const usage = { inputTokens: 10, outputTokens: 2, costUsd: 0.5 };

/** A run whose tasks are named a, b, c …. Each argument contains the names of the tasks that one task depends on. */
class Run extends DrivenMachine<typeof runMachine> {
  constructor(concurrency: number, ...dependencies: string[]) {
    const names = dependencies.map((_, index) => nameOf(index));
    const tasks = dependencies.map((needed, index) => ({
      taskId: nameOf(index),
      name: nameOf(index),
      dependsOn: names.flatMap((name, position) => (needed.includes(name) ? [position] : [])),
    }));
    const input = {
      tenant: 'default',
      runId: 'r1',
      requestId: 'q',
      requestHash: 'h',
      repository: '/r',
      baseBranch: 'main',
      concurrency,
      specificationArtifact: 'run/default/r1/h',
      tasks,
    };
    super(runMachine, { kind: 'run', id: 'default.r1', now: 1_000, input });
  }

  created(): this {
    return this.done('createTasks', { tasks: this.context.tasks.length });
  }

  ended(task: string, state = 'merged', reason: string | null = null): this {
    return this.send({ type: 'task-ended', taskId: task, state, reason, usage });
  }

  idle(task: string): this {
    return this.send({ type: 'task-idle', taskId: task });
  }

  /** Tasks to which the run sent an event of this type, in order. */
  recipients(type: string): string[] {
    return this.sent.filter(({ event }) => event.type === type).map(({ id }) => id.replace('default.', ''));
  }

  states(): string {
    return this.context.tasks.map(({ name, state }) => `${name} ${state}`).join(', ');
  }
}

const nameOf = (index: number): string => String.fromCharCode('a'.charCodeAt(0) + index);
const run = (concurrency: number, ...dependencies: string[]) => new Run(concurrency, ...dependencies).created();
const retryCreation = 'xstate.after.retry.run.creating.retrying';
const retryCancellation = 'xstate.after.retry.run.cancelling.retrying';

describe('the dependency graph', () => {
  test('a chain runs one after the other, whatever the concurrency', () => {
    const chain = run(8, '', 'a', 'b');
    expect(chain.recipients('start')).toEqual(['a']);
    chain.ended('a');
    expect(chain.recipients('start')).toEqual(['a', 'b']);
    chain.ended('b').ended('c');
    expect([chain.state, chain.output]).toEqual(['ended', { state: 'succeeded' }]);
  });

  test('a task with two dependencies starts after the second one has landed', () => {
    const diamond = run(8, '', 'a', 'a', 'bc').ended('a').ended('c');
    expect(diamond.recipients('start')).toEqual(['a', 'b', 'c']);
    expect(diamond.ended('b').recipients('start')).toEqual(['a', 'b', 'c', 'd']);
  });

  test.each(['merged', 'no-changes', 'landed-pending'])(
    'a dependency that ends as %s lets its dependants start',
    (end) => {
      expect(run(8, '', 'a').ended('a', end).recipients('start')).toEqual(['a', 'b']);
    },
  );

  test.each(['failed', 'timed-out', 'cancelled', 'discarded', 'branch-pushed'])(
    'a dependency that ends as %s skips its dependants, with the reason',
    (end) => {
      const skipping = run(8, '', 'a').ended('a', end);
      expect(skipping.recipients('start')).toEqual(['a']);
      expect(skipping.sent.at(-1)?.event).toEqual({ type: 'skip', reason: `depends on a, which ended as ${end}` });
    },
  );

  test('a failure skips all tasks that depend on it, and no others', () => {
    const tree = run(1, '', 'a', 'b', '').ended('a', 'failed');
    expect([tree.recipients('skip'), tree.recipients('start')]).toEqual([['b'], ['a', 'd']]);
    tree.ended('b', 'failed', 'depends on a, which ended as failed');
    expect(tree.recipients('skip')).toEqual(['b', 'c']);
    tree.ended('c', 'failed').ended('d');
    expect([tree.output, tree.states()]).toEqual([{ state: 'failed' }, 'a failed, b failed, c failed, d merged']);
  });

  test('a task is skipped as soon as one dependency has failed, before the others end', () => {
    expect(run(8, '', '', 'ab').ended('b', 'failed').recipients('skip')).toEqual(['c']);
  });

  test('a task is skipped once, however many of its dependencies fail', () => {
    expect(run(8, '', '', 'ab').ended('b', 'failed').ended('a', 'failed').recipients('skip')).toEqual(['c']);
  });

  test("if one step can't skip all dependants, the ends of the first trigger the rest", () => {
    const wide = new Run(1, '', ...Array.from({ length: 120 }, () => 'a')).created().ended('a', 'failed');
    const tasks = wide.context.tasks.slice(1).map(({ taskId }) => taskId);
    expect(wide.recipients('skip')).toEqual(tasks.slice(0, 50));
    for (const task of tasks.slice(0, 50)) wide.ended(task, 'failed');
    expect(wide.recipients('skip')).toEqual(tasks.slice(0, 120));
    for (const task of tasks.slice(50)) wide.ended(task, 'failed');
    expect(wide.output).toEqual({ state: 'failed' });
  });
});

describe('the concurrency of a run', () => {
  test('as many tasks start as it allows, and the next one when a task ends', () => {
    const pair = run(2, '', '', '', '');
    expect(pair.recipients('start')).toEqual(['a', 'b']);
    expect(pair.ended('b', 'failed').recipients('start')).toEqual(['a', 'b', 'c']);
    expect(pair.ended('a').recipients('start')).toEqual(['a', 'b', 'c', 'd']);
  });

  test('a task that waits for you lets another one start', () => {
    const single = run(1, '', '', '').idle('a');
    expect(single.recipients('start')).toEqual(['a', 'b']);
    single.ended('a');
    expect(single.recipients('start')).toEqual(['a', 'b']);
  });

  test("a skipped task doesn't count", () => {
    expect(run(1, '', 'a', '').ended('a', 'failed').recipients('start')).toEqual(['a', 'c']);
  });

  test('a run waits for a task that waits for you', () => {
    const waiting = run(1, '').idle('a');
    expect([waiting.state, waiting.states()]).toEqual(['running', 'a idle']);
    expect(waiting.ended('a', 'discarded').output).toEqual({ state: 'succeeded' });
  });
});

describe('reports of tasks', () => {
  test('that arrive twice count once', () => {
    const twice = run(1, '', '', '').ended('a').ended('a');
    expect(twice.recipients('start')).toEqual(['a', 'b']);
    expect(twice.context.used).toEqual({ usage, tasks: 1 });
  });

  test('about a task that has ended change nothing', () => {
    const late = run(1, '', '').ended('a').idle('a');
    expect(late.ended('a', 'failed').states()).toBe('a merged, b active');
  });

  test('about a task of another run change nothing', () => {
    expect(run(1, '').ended('z').states()).toBe('a active');
  });

  test('that arrive before all tasks are created are kept', () => {
    const early = new Run(1, '', '').ended('a', 'cancelled', 'enough');
    expect(early.state).toBe('creating.ordering');
    expect(early.created().recipients('start')).toEqual(['b']);
  });
});

describe('creating the tasks', () => {
  test('the run is announced before its tasks are created', () => {
    const creating = new Run(1, '');
    expect(creating.emitted.map(({ type }) => type)).toEqual(['run-submitted']);
    expect(creating.inputs['createTasks']).toEqual({
      tenant: 'default',
      runId: 'r1',
      specificationArtifact: 'run/default/r1/h',
    });
    expect(creating.sent).toEqual([]);
  });

  test('is retried after a pause of 5 s', () => {
    const creating = new Run(1, '').failed('createTasks');
    expect(creating.timers).toEqual({ [retryCreation]: 5_000 });
    expect(creating.timeOut(retryCreation).created().recipients('start')).toEqual(['a']);
  });

  test('that fails eleven times fails the run and all its tasks', () => {
    const creating = new Run(1, '', 'a');
    for (let tries = 0; tries < 10; tries++) creating.failed('createTasks').timeOut(retryCreation);
    creating.failed('createTasks', { code: 'not-found', message: 'the specification is gone' });
    expect(creating.output).toEqual({ state: 'failed' });
    expect(creating.context).toMatchObject({
      failure: { code: 'not-found', message: 'the specification is gone' },
      tasks: [
        { state: 'failed', reason: 'the run could not be created' },
        { state: 'failed', reason: 'the run could not be created' },
      ],
    });
    expect(creating.emitted.at(-1)).toMatchObject({ type: 'run-ended', state: 'failed' });
  });
});

describe('a run that is cancelled', () => {
  test('starts no more tasks, has its tasks cancelled, and ends when they have ended', () => {
    const cancelled = run(1, '', '').send({ type: 'cancel', reason: 'enough' });
    expect(cancelled.inputs['cancelTasks']).toMatchObject({ runId: 'r1', reason: 'enough' });
    cancelled.done('cancelTasks', { tasks: 2 }).ended('a', 'cancelled');
    expect([cancelled.state, cancelled.recipients('start')]).toEqual(['draining', ['a']]);
    cancelled.ended('b', 'cancelled');
    expect(cancelled.output).toEqual({ state: 'cancelled' });
    expect(cancelled.emitted.at(-1)).toMatchObject({ type: 'run-ended', state: 'cancelled' });
  });

  test('while its tasks are created cancels them once all exist', () => {
    const early = new Run(1, '').send({ type: 'cancel' });
    expect(early.started).toEqual(['createTasks']);
    early.created();
    expect([early.state, early.recipients('start')]).toEqual(['cancelling.ordering', []]);
    expect(early.inputs['cancelTasks']).toMatchObject({ reason: 'the run was cancelled' });
  });

  test('keeps the first reason', () => {
    const twice = run(1, '').send({ type: 'cancel', reason: 'first' }).send({ type: 'cancel', reason: 'second' });
    expect(twice.context.cancelReason).toBe('first');
    expect(twice.started.filter((name) => name === 'cancelTasks')).toHaveLength(1);
  });

  test('counts the tasks that landed before the cancellation', () => {
    const late = run(2, '', '').ended('a').send({ type: 'cancel' }).done('cancelTasks', { tasks: 2 });
    late.ended('b', 'merged');
    expect([late.output, late.states()]).toEqual([{ state: 'cancelled' }, 'a merged, b merged']);
  });

  test('retries the cancellation, and then waits for its tasks to end by themselves', () => {
    const stuck = run(1, '').send({ type: 'cancel' });
    for (let tries = 0; tries < 10; tries++) stuck.failed('cancelTasks').timeOut(retryCancellation);
    stuck.failed('cancelTasks');
    expect(stuck.state).toBe('draining');
    expect(stuck.ended('a').state).toBe('ended');
  });

  test('records tasks that end while the cancellation is sent', () => {
    const sending = run(1, '').send({ type: 'cancel' }).ended('a', 'cancelled').done('cancelTasks', { tasks: 1 });
    expect(sending.output).toEqual({ state: 'cancelled' });
  });
});

test('the end of a run is announced with its time and the usage of all its tasks', () => {
  const ended = run(2, '', '').ended('a');
  ended.nowMs = 9_000;
  ended.ended('b');
  expect(ended.context).toMatchObject({ createdAtMs: 1_000, endedAtMs: 9_000, used: { tasks: 2 } });
  expect(ended.context.used?.usage).toEqual({ inputTokens: 20, outputTokens: 4, costUsd: 1 });
});

test('a run whose task has an unknown cost has an unknown cost', () => {
  const ended = run(2, '', '').ended('a');
  ended.send({ type: 'task-ended', taskId: 'b', state: 'merged', reason: null, usage: { ...usage, costUsd: null } });
  expect(ended.context.used?.usage).toEqual({ inputTokens: 20, outputTokens: 4, costUsd: null });
});
