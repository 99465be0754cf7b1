import { describe, expect, test } from 'vitest';
import { DrivenMachine } from '../test-support/drive-machine.ts';
import { landingMachine } from './landing-machine.ts';

const holdMs = 60_000;
const timeIsOver = 'xstate.after.turn.landing.held';

/** A landing slot. Each task, and its request, has a name of one letter. */
class Slot extends DrivenMachine<typeof landingMachine> {
  constructor() {
    super(landingMachine, { kind: 'landing', id: 'default.main', now: 0, input: {} });
  }

  acquire(...tasks: string[]): this {
    for (const task of tasks) {
      const replyTo = { kind: 'task', id: `default.${task}` };
      this.send({ type: 'acquire', effectId: task, replyTo, taskId: task, holdMs });
    }
    return this;
  }

  release(turn: string): this {
    return this.send({ type: 'release', turn });
  }

  get granted(): string[] {
    return this.answers.filter(({ outcome }) => outcome.status === 'done').map(({ effectId }) => effectId);
  }

  get holder(): string | null {
    return this.context.holder?.taskId ?? null;
  }
}

test('the first task gets a free slot at once', () => {
  const slot = new Slot().acquire('a');
  expect(slot.answers).toEqual([
    {
      to: { kind: 'task', id: 'default.a' },
      effectId: 'a',
      outcome: { status: 'done', output: { turn: 'a', waited: false } },
    },
  ]);
});

test('tasks get the slot one after the other, in the order of their requests', () => {
  const slot = new Slot().acquire('a', 'b', 'c');
  expect([slot.granted, slot.holder]).toEqual([['a'], 'a']);
  slot.release('a');
  expect([slot.granted, slot.holder]).toEqual([['a', 'b'], 'b']);
  slot.acquire('d').release('b').release('c');
  expect([slot.granted, slot.holder]).toEqual([['a', 'b', 'c', 'd'], 'd']);
  slot.release('d');
  expect([slot.state, slot.holder]).toEqual(['free', null]);
});

test('a task that waited for others is informed of it, since the branch has most likely moved', () => {
  const slot = new Slot().acquire('a', 'b').release('a').release('b').acquire('c');
  expect(slot.answers.map(({ outcome }) => outcome)).toMatchObject([
    { output: { turn: 'a', waited: false } },
    { output: { turn: 'b', waited: true } },
    { output: { turn: 'c', waited: false } },
  ]);
});

describe('a task that gives up', () => {
  test('while it waits is removed from the queue, and the others stay', () => {
    const slot = new Slot().acquire('a', 'b', 'c').release('b');
    expect(slot.holder).toBe('a');
    slot.release('a');
    expect([slot.granted, slot.holder]).toEqual([['a', 'c'], 'c']);
  });

  test('before its request arrives changes nothing', () => {
    const slot = new Slot().release('a');
    expect([slot.state, slot.answers]).toEqual(['free', []]);
    expect(new Slot().acquire('b').release('a').holder).toBe('b');
  });

  test("twice doesn't take the slot from the next task", () => {
    const slot = new Slot().acquire('a', 'b').release('a').release('a');
    expect([slot.granted, slot.holder]).toEqual([['a', 'b'], 'b']);
  });
});

describe('a holder whose time is over', () => {
  test('loses the slot to the next task', () => {
    const slot = new Slot().acquire('a', 'b');
    expect(slot.timers).toEqual({ [timeIsOver]: holdMs });
    slot.timeOut(timeIsOver);
    expect([slot.granted, slot.holder]).toEqual([['a', 'b'], 'b']);
  });

  test('frees the slot if no task waits, and its late release takes the slot from no other task', () => {
    const slot = new Slot().acquire('a').timeOut(timeIsOver);
    expect(slot.state).toBe('free');
    slot.acquire('b').release('a');
    expect(slot.holder).toBe('b');
  });

  test('leaves the next task its full time', () => {
    const slot = new Slot().acquire('a', 'b');
    slot.nowMs += holdMs / 2;
    slot.release('a');
    expect(slot.timers).toEqual({ [timeIsOver]: holdMs });
    expect(slot.release('b').timers).toEqual({});
  });
});

test('a queue of a thousand is full: the next request is rejected, and may be retried', () => {
  const slot = new Slot().acquire('holder', ...Array.from({ length: 1_000 }, (_, index) => `t${index}`));
  expect(slot.answers).toHaveLength(1);
  slot.acquire('late');
  expect(slot.answers.at(-1)).toMatchObject({
    effectId: 'late',
    outcome: { status: 'failed', error: { code: 'limit-exceeded', retryable: true } },
  });
  slot.release('holder').acquire('again');
  expect(slot.context.queue.at(-1)?.taskId).toBe('again');
});
