import { assign, emit, fromPromise, log, raise, sendTo, setup, spawnChild } from 'xstate';
import type { AnyStateMachine } from 'xstate';
import { describe, expect, test } from 'vitest';
import { UnsupportedMachine, command, defineActor, effect, eventMatrix, ordered, send } from './index.ts';
import { worktreeOperations } from '@coppice/contracts';
import { desk, job, jobMachine } from './test-support/machines.ts';

const base = setup({
  types: { events: {} as { type: 'go' } },
  actors: { work: effect<number, unknown>() },
  actions: { notify: ordered<unknown>() },
});
const sources = { work: command(worktreeOperations.prepare) };
const actions = { notify: send() };
const define = (machine: unknown, more: Partial<Parameters<typeof defineActor>[0]> = {}) =>
  defineActor({
    kind: 'thing',
    version: 1,
    machine: machine as AnyStateMachine,
    sources,
    actions,
    events: { go: { otherwise: 'refuse' } },
    ...more,
  });
const idle = { on: { go: {} } };

describe('defineActor refuses', () => {
  const refused: [string, () => unknown, RegExp][] = [
    [
      'a child machine as a source',
      () =>
        define(
          setup({ actors: { work: base.createMachine({}) } }).createMachine({
            ...idle,
            invoke: { id: 'w', src: 'work', onError: {} },
          }),
        ),
      /actor logic work is not an effect/,
    ],
    [
      'running logic as a source',
      () => define(setup({ actors: { work: fromPromise(async () => 1) } }).createMachine(idle as never)),
      /actor logic work is not an effect/,
    ],
    [
      'an inline source',
      () =>
        define(
          base.createMachine({ ...idle, invoke: { id: 'w', src: effect<number, unknown>() as never, onError: {} } }),
        ),
      /invoke w in .* has an inline source/,
    ],
    [
      'an invoke without onError',
      () => define(base.createMachine({ ...idle, invoke: { id: 'w', src: 'work' } })),
      /has no onError/,
    ],
    [
      'an invoke without id',
      () => define(base.createMachine({ ...idle, invoke: { src: 'work', onError: {} } })),
      /has no id/,
    ],
    [
      'a source that is not mapped',
      () => define(base.createMachine({ ...idle, invoke: { id: 'w', src: 'work', onError: {} } }), { sources: {} }),
      /source work is not mapped/,
    ],
    [
      'an inline function as an action',
      () => define(base.createMachine({ ...idle, entry: () => {} })),
      /inline function/,
    ],
    [
      'an action that is not mapped',
      () => define(base.createMachine({ ...idle, entry: 'notify' as never }), { actions: {} }),
      /notify/,
    ],
    [
      'spawnChild',
      () => define(base.createMachine({ ...idle, entry: spawnChild('work') as never })),
      /xstate\.spawnChild/,
    ],
    ['log', () => define(base.createMachine({ ...idle, entry: log('x') })), /xstate\.log/],
    [
      'sendTo without delay',
      () => define(base.createMachine({ ...idle, exit: sendTo(({ self }) => self, { type: 'go' }) })),
      /sendTo without delay/,
    ],
    [
      'an event that is handled but not declared',
      () => define(base.createMachine(idle), { events: {} }),
      /go is handled but not declared/,
    ],
    [
      'an event that is declared but handled nowhere',
      () =>
        define(base.createMachine(idle), { events: { go: { otherwise: 'refuse' }, gone: { otherwise: 'refuse' } } }),
      /gone is handled in no state/,
    ],
    [
      'an onError that a guard may refuse',
      () =>
        define(
          base.createMachine({
            initial: 'a',
            states: {
              a: { ...idle, invoke: { id: 'w', src: 'work', onError: { guard: () => false, target: 'b' } } },
              b: {},
            },
          }),
        ),
      /has no onError without a guard/,
    ],
    [
      'a machine that emits without a mapping',
      () => define(base.createMachine({ ...idle, entry: emit({ type: 'said' }) as never })),
      /emitted is not given/,
    ],
    [
      'a policy for an event that is not declared',
      () => define(base.createMachine({ ...idle, meta: { events: { goo: 'defer' } } as never })),
      /meta names event goo/,
    ],
    ['a wildcard', () => define(base.createMachine({ on: { '*': {} } })), /name the events/],
    ['a kind that is no token', () => define(base.createMachine(idle), { kind: 'a.b' }), /not one token/],
    ['a version that is no number', () => define(base.createMachine(idle), { version: 0 }), /version/],
  ];
  test.each(refused)('%s', (_name, attempt, message) => {
    expect(attempt).toThrow(UnsupportedMachine);
    expect(attempt).toThrow(message);
  });

  test('all problems at once', () => {
    const attempt = () => define(base.createMachine({ ...idle, entry: [() => {}, log('x')], invoke: { src: 'work' } }));
    expect(attempt).toThrow(/inline function.*xstate\.log|no id.*inline function/s);
    expect(attempt).toThrow(/no onError/);
  });
});

describe('a definition', () => {
  test('accepts every mapped feature', () => {
    expect(() =>
      define(
        base.createMachine({ ...idle, entry: [raise({ type: 'go' }), assign({}), { type: 'notify', params: {} }] }),
      ),
    ).not.toThrow();
  });

  test("has a hash of the structure, which doesn't depend on the code of functions", () => {
    const changed = jobMachine.provide({ delays: { limit: 5 } });
    expect(defineActor({ ...optionsOf(), machine: changed }).hash).toBe(job.hash);
    expect(desk.hash).not.toBe(job.hash);
  });

  test('lists what each state does with each event', () => {
    const matrix = eventMatrix(job);
    expect(matrix).toHaveLength(4 * 6);
    const row = (state: string, event: string) =>
      matrix.find((entry) => entry.state === state && entry.event === event)?.does;
    expect(row('waiting', 'start')).toBe('handle');
    expect(row('waiting', 'pad')).toBe('handle');
    expect(row('waiting', 'poke')).toBe('defer');
    expect(row('preparing', 'approve')).toBe('refuse');
    expect(row('approving', 'poke')).toBe('handle');
  });
});

const optionsOf = () => ({
  kind: 'job',
  version: 1,
  sources: job.sources,
  actions: job.actions,
  events: job.events,
  internalEvents: ['reminded'],
  emitted: () => ({ subject: '', data: {} }),
});
