import fc from 'fast-check';
import { assign, raise, sendTo, setup } from 'xstate';
import { describe, expect, test } from 'vitest';
import { TransitionFailed, Unrestorable, actorLimits, defineActor, effect } from './index.ts';
import type { ActorDefinition } from './index.ts';
import type { Incoming } from './receive.ts';
import { alone, born, event, create, result, give, next, types, effectOf, upTo } from './test-support/pure.ts';
import { prepared } from './test-support/harness.ts';
import { desk, job } from './test-support/machines.ts';
import { decodeStored, encodeParked, stateText } from './value.ts';

describe('effects of a transition', () => {
  test('creation: time and id come from outside, and the first state is entered', () => {
    const value = next(null, create('c'));
    expect(value).toMatchObject({
      kind: 'job',
      id: 'a.b',
      incarnation: 'i1',
      status: 'active',
      state: 'waiting',
      createdAtMs: born,
    });
    expect(value.snapshot?.context).toMatchObject({ id: 'a.b', bornAt: born });
    expect(value.outbox).toEqual([
      {
        type: 'event',
        messageId: 'job_a_b_i1_1',
        subject: 'coppice.event.default.r1.a.b.waiting',
        data: { id: 'job_a_b_i1_1', sequence: 1, time: new Date(born).toISOString(), state: 'waiting' },
      },
    ]);
  });

  test("`invoke`, `after` and a delayed `raise` become a command and timers, in XState's order; leaving the state cancels them", () => {
    const waiting = next(null, create('c'));
    const preparing = next(waiting, event('m', { type: 'start' }), born + 5);
    expect(types(preparing.outbox)).toEqual(['event', 'timer', 'timer', 'command']);
    expect(preparing.outbox.at(-1)).toMatchObject({ subject: 'coppice.cmd.worktree-service.node1.prepare' });
    expect(preparing.inFlight[effectOf(preparing, 'reminder')]).toMatchObject({
      type: 'timer',
      atMs: born + 5 + 60_000,
    });
    expect(Object.values(preparing.inFlight)).toHaveLength(3);

    const stopped = next(preparing, event('m2', { type: 'stop' }));
    expect(types(stopped.outbox).toSorted()).toEqual(['cancel-command', 'cancel-timer', 'cancel-timer', 'event']);
    expect(stopped).toMatchObject({
      status: 'done',
      inFlight: {},
      snapshot: null,
      state: 'stopped',
      output: { ticket: null },
    });
  });

  test('leaving a state with a request sends its cancellation', () => {
    const asking = upTo('asking');
    expect(asking.outbox.at(-1)).toMatchObject({
      type: 'message',
      to: { kind: 'desk', id: 'main' },
      message: { type: 'create', event: { type: 'ask' } },
    });
    const stopped = next(asking, event('m2', { type: 'stop' }));
    expect(stopped.outbox).toContainEqual(
      expect.objectContaining({ message: expect.objectContaining({ event: { type: 'forget', name: 'a.b' } }) }),
    );
  });

  test('a cancellation that overtakes its request annuls it; one that arrives after the request is an event for the machine', () => {
    const request = () =>
      event('job_x_i_3', { type: 'ask', name: 'n', effectId: 'job_x_i_3', replyTo: { kind: 'job', id: 'x' } });
    const called = { ...event('job_x_i_4', { type: 'forget', name: 'n' }), cancels: 'job_x_i_3' };
    const open = next(null, create('c'), born, desk);
    const overtaken = next(open, called, born, desk);
    expect(overtaken.snapshot?.context).toMatchObject({ forgotten: ['n'] });
    expect(give(overtaken, request(), born, desk)).toMatchObject({ type: 'drop', reason: 'a repeat' });
    const inOrder = next(next(open, request(), born, desk), called, born, desk);
    expect(inOrder.snapshot?.context).toMatchObject({ forgotten: ['n'], open: [{ name: 'n' }] });

    // The state rejects the event `y`, but `cancels` still takes effect. The later request `p1` counts as handled.
    const waiting = next(null, create('c'));
    const refused = next(waiting, { ...event('y', { type: 'approve' }), cancels: 'p1' });
    expect(give(refused, event('p1', { type: 'poke', number: 1 }))).toMatchObject({ type: 'drop', reason: 'a repeat' });
    const deferred = next(waiting, event('p1', { type: 'poke', number: 1 }));
    expect(next(deferred, { ...event('y', { type: 'approve' }), cancels: 'p1' }).deferred).toEqual([]);
  });

  test('an effect that is started and cancelled within one handling is never published', () => {
    const machine = setup({ actors: { work: effect<number, unknown>() } }).createMachine({
      initial: 'a',
      states: {
        a: { on: { go: 'b' } },
        b: {
          invoke: { id: 'w', src: 'work', input: { desk: 'd', name: 'n' }, onError: 'c' },
          after: { 1000: 'c' },
          always: 'c',
        },
        c: { on: { go: {} } },
      },
    });
    const passing = defineActor({
      kind: 'passing',
      version: 1,
      machine,
      sources: { work: job.sources['desk'] as never },
      events: { go: { otherwise: 'refuse' } },
    });
    const value = next(next(null, create('c'), born, passing), event('m', { type: 'go' }), born, passing);
    expect(value).toMatchObject({ state: 'c', outbox: [], inFlight: {} });
  });

  test('an unmapped action stops the handling before anything is stored', () => {
    const lure = (entry: unknown) =>
      defineActor({
        kind: 'lure',
        version: 1,
        machine: setup({ actors: { work: effect<number, unknown>() } }).createMachine({
          initial: 'a',
          states: { a: { on: { go: 'b' } }, b: { entry: entry as never } },
        }),
        sources: { work: job.sources['desk'] as never },
        events: { go: { otherwise: 'refuse' } },
      });
    const attempt = (entry: unknown) => () => {
      const definition = lure(entry);
      next(next(null, create('c'), born, definition), event('m', { type: 'go' }), born, definition);
    };
    expect(attempt(assign({ child: ({ spawn }: { spawn: (source: string) => unknown }) => spawn('work') }))).toThrow(
      TransitionFailed,
    );
    expect(attempt(sendTo('nobody', { type: 'x' }, { delay: 10 }))).toThrow(TransitionFailed);
    expect(attempt(raise({ type: 'x' }, { delay: actorLimits.timerDelayMsMax + 1 }))).toThrow(/a delay of/);
    expect(
      attempt(
        assign(() => {
          throw new Error('broken');
        }),
      ),
    ).toThrow(/broken/);
    expect(attempt(assign({}))).not.toThrow();
  });

  test('an endless cycle is stopped', () => {
    const machine = setup({}).createMachine({
      initial: 'a',
      states: { a: { on: { go: 'b' } }, b: { always: 'c' }, c: { always: 'b' } },
    });
    const cycle = defineActor({ kind: 'cycle', version: 1, machine, events: { go: { otherwise: 'refuse' } } });
    const waiting = next(null, create('c'), born, cycle);
    expect(() => next(waiting, event('m', { type: 'go' }), born, cycle)).toThrow(/Infinite loop/);
  });
});

describe('results and timers', () => {
  test('are applied once, while their effect is in flight, and only to an effect of their own kind', () => {
    const preparing = upTo('preparing');
    const effectId = effectOf(preparing, 'prepare');
    const timer = effectOf(preparing, 'reminder');
    const asking = next(preparing, result(effectId, { status: 'done', output: prepared }));
    expect(asking.state).toBe('asking');
    expect(give(asking, result(effectId, { status: 'done', output: prepared }))).toMatchObject({ type: 'drop' });
    expect(give(preparing, alone({ type: 'timer', effectId }))).toMatchObject({
      type: 'drop',
    });
    expect(give(preparing, result(timer, { status: 'done', output: null }))).toMatchObject({ type: 'drop' });
    expect(give(preparing, result('job_a_b_other_2', { status: 'done', output: prepared }))).toMatchObject({
      type: 'drop',
    });
    expect(give(preparing, result('constructor', { status: 'done', output: prepared }))).toMatchObject({
      type: 'drop',
    });
  });

  test("an output that doesn't fit the operation's schema is a failed result", () => {
    const preparing = upTo('preparing');
    const value = next(preparing, result(effectOf(preparing, 'prepare'), { status: 'done', output: { node: 7 } }));
    expect(value).toMatchObject({ status: 'done', state: 'failed', summary: { error: 'internal' } });
  });

  test('a failure arrives as onError with its code', () => {
    const preparing = upTo('preparing');
    const error = { code: 'branch-not-found' as const, message: 'no', retryable: false };
    const value = next(preparing, result(effectOf(preparing, 'prepare'), { status: 'failed', error }));
    expect(value.summary).toEqual({ error: 'branch-not-found', pokes: [] });
  });

  test('a wake-up applies due timers in the order of time, except those that an earlier one cancelled', () => {
    const preparing = upTo('preparing', { limitMs: 90_000 });
    expect(give(preparing, alone({ type: 'wake' }), born + 59_999).type).toBe('drop');
    const reminded = next(preparing, alone({ type: 'wake' }), born + 60_000);
    expect(reminded).toMatchObject({ state: 'preparing' });
    expect(
      Object.values(reminded.inFlight)
        .map((each) => each.type)
        .toSorted(),
    ).toEqual(['command', 'timer']);
    const late = next(preparing, alone({ type: 'wake' }), born + 500_000);
    expect(late).toMatchObject({ state: 'failed', summary: { error: 'timed-out' } });
  });
});

describe('events from outside', () => {
  test('are rejected with a message that names the state', () => {
    const waiting = next(null, create('c'));
    const refused = (incoming: Incoming, value = waiting) => {
      const decision = give(value, incoming);
      if (decision.type !== 'drop') throw new Error(decision.type);
      return decision.answers[0]?.outcome;
    };
    expect(refused(event('m', { type: 'approve' }, 'x'))).toMatchObject({
      status: 'failed',
      error: { code: 'conflict', message: "can't approve a job that is waiting", details: { state: 'waiting' } },
    });
    expect(refused(event('m1', { type: 'approve' }, 'x'), upTo('preparing'))).toMatchObject({
      error: { message: 'nothing to approve while preparing' },
    });
    expect(refused(event('m', { type: 'xstate.stop' }, 'x'))).toMatchObject({ error: { code: 'invalid-request' } });
    expect(refused(event('m', { type: 'toString' }, 'x'))).toMatchObject({ error: { code: 'invalid-request' } });
    const ended = next(upTo('preparing'), event('m2', { type: 'stop' }));
    expect(refused(event('m3', { type: 'approve' }, 'x'), ended)).toMatchObject({
      error: { message: "can't approve a job that is stopped" },
    });
  });

  test('that are deferred stay in order and are applied when a state handles them; those over the limit are rejected', () => {
    let value = upTo('asking');
    for (let number = 0; number < actorLimits.deferredMax; number++)
      value = next(value, event(`p${number}`, { type: 'poke', number }));
    expect(value.deferred).toHaveLength(actorLimits.deferredMax);
    expect(give(value, event('one-more', { type: 'poke', number: 99 }, 'x'))).toMatchObject({
      type: 'drop',
      answers: [{ outcome: { error: { code: 'limit-exceeded' } } }],
    });
    expect(give(value, event('p3', { type: 'poke', number: 3 }))).toMatchObject({ type: 'drop', reason: 'a repeat' });
    const approving = next(value, result(effectOf(value, 'desk'), { status: 'done', output: { ticket: 7 } }));
    expect(approving).toMatchObject({ state: 'approving', deferred: [] });
    expect(approving.snapshot?.context).toMatchObject({ pokes: Array.from({ length: 64 }, (_, index) => index) });
  });

  test('that are still deferred when the actor ends are rejected; a requesting actor gets a stored message', () => {
    const request = { effectId: 'other_x_i_1', replyTo: { kind: 'other', id: 'x' } };
    const asking = next(upTo('asking'), { ...event('p', { type: 'poke', number: 1 }, 'inbox'), request });
    const decision = give(asking, event('m2', { type: 'stop' }));
    if (decision.type !== 'store') throw new Error(decision.type);
    expect(decision.answers).toEqual([{ answerTo: 'inbox', outcome: expect.objectContaining({ status: 'failed' }) }]);
    expect(decision.value.outbox).toContainEqual(
      expect.objectContaining({
        to: request.replyTo,
        message: expect.objectContaining({ type: 'result', effectId: 'other_x_i_1' }),
      }),
    );
  });

  test('a `create` with an event is applied to an active actor, not to an ended one; an event alone creates no actor', () => {
    const started = next(next(null, create('c')), create('again', {}, { type: 'start' }));
    expect(started.state).toBe('preparing');
    expect(give(started, create('again', {}, { type: 'start' }))).toMatchObject({ type: 'drop', reason: 'a repeat' });
    expect(give(started, create('c'))).toMatchObject({ type: 'drop' });
    const ended = next(started, event('m', { type: 'stop' }));
    expect(give(ended, create('late', {}, { type: 'start' }))).toMatchObject({
      type: 'drop',
      reason: expect.stringContaining('has ended'),
    });
    expect(give(null, event('m', { type: 'start' }))).toEqual({ type: 'absent' });
    expect(give(null, result('job_a_b_i1_1', { status: 'done', output: 1 }))).toMatchObject({ type: 'drop' });
  });
});

describe('restoring', () => {
  test('a value of another version or structure is parked; a migration makes it usable', () => {
    const waiting = next(null, create('c'));
    const newer: ActorDefinition = { ...job, version: 2, hash: 'other' };
    const parkCode = (definition: ActorDefinition, value = waiting) => {
      try {
        give(value, event('m', { type: 'start' }), born, definition);
        return null;
      } catch (error) {
        return error instanceof Unrestorable ? error.parkCode : error;
      }
    };
    expect(parkCode(newer)).toBe('machine-changed');
    expect(parkCode({ ...job, hash: 'other' })).toBe('machine-changed');
    expect(
      parkCode({
        ...newer,
        migrations: {
          1: () => {
            throw new Error('no');
          },
        },
      }),
    ).toBe('machine-changed');
    expect(parkCode({ ...newer, migrations: { 1: (snapshot) => ({ ...snapshot, value: 'gone' }) } })).toBe(
      'restore-failed',
    );
    expect(parkCode({ ...newer, migrations: { 1: (snapshot) => snapshot } })).toBeNull();
    expect(
      next(waiting, event('m', { type: 'start' }), born, { ...newer, migrations: { 1: (snapshot) => snapshot } })
        .machine,
    ).toEqual({ version: 2, hash: 'other' });
  });

  test('parallel and history states are restored with their invocations', () => {
    const machine = setup({ actors: { work: effect<number, { desk: string; name: string }>() } }).createMachine({
      type: 'parallel',
      states: {
        work: {
          initial: 'idle',
          states: {
            idle: { on: { go: 'phases.hist' } },
            phases: {
              initial: 'one',
              on: { pause: 'idle' },
              states: {
                hist: { type: 'history' },
                one: { on: { step: 'two' } },
                two: {
                  invoke: { id: 'w', src: 'work', input: { desk: 'd', name: 'n' }, onDone: 'one', onError: 'one' },
                },
              },
            },
          },
        },
        light: { initial: 'off', states: { off: { on: { step: 'on' } }, on: {} } },
      },
    });
    const refuse = { otherwise: 'refuse' } as const;
    const sources = { work: job.sources['desk'] as never };
    const twofold = defineActor({
      kind: 'twofold',
      version: 1,
      machine,
      sources,
      events: { go: refuse, pause: refuse, step: refuse },
    });
    let value = next(null, create('c'), born, twofold);
    for (const [index, type] of ['go', 'step', 'pause'].entries())
      value = next(value, event(`m${index}`, { type }), born, twofold);
    expect(value).toMatchObject({ state: { work: 'idle', light: 'on' }, inFlight: {} });
    const back = next(value, event('again', { type: 'go' }), born, twofold);
    expect(stateText(back.state)).toBe('work.phases.two|light.on');
    const done = next(back, result(effectOf(back, 'w'), { status: 'done', output: 1 }), born, twofold);
    expect(stateText(done.state)).toBe('work.phases.one|light.on');
  });

  test('parking keeps any bytes unchanged', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const parked = { code: 'corrupt' as const, message: 'line\nbreak', parkedAtMs: 1, by: '1:x' };
        expect(decodeStored(encodeParked(parked, bytes))).toEqual({ type: 'parked', parked, original: bytes });
      }),
    );
    expect(() => decodeStored(new TextEncoder().encode('{"format":2}'))).toThrow(Unrestorable);
    expect(() => decodeStored(new Uint8Array([0xff, 0xfe]))).toThrow(Unrestorable);
  });

  test('states as text', () => {
    expect(stateText('a')).toBe('a');
    expect(stateText({ a: { b: 'c' } })).toBe('a.b.c');
    expect(stateText({ a: 'x', b: {} })).toBe('a.x|b');
  });
});

test('the action `answer` sends the result of the effect that waits', () => {
  const opened = next(
    null,
    create('c', {}, { type: 'ask', name: 'n', effectId: 'job_x_i_3', replyTo: { kind: 'job', id: 'x' } }),
    born,
    desk,
  );
  const served = next(opened, event('m', { type: 'serve' }), born, desk);
  expect(served.outbox).toEqual([
    {
      type: 'message',
      messageId: 'desk_a_b_i1_1',
      to: { kind: 'job', id: 'x' },
      message: { type: 'result', effectId: 'job_x_i_3', outcome: { status: 'done', output: { ticket: 1 } } },
      request: null,
    },
  ]);
});
