import { assign, cancel, emit, raise, setup } from 'xstate';
import type { Outcome, ReplyTo } from '@coppice/contracts';
import { worktreeOperations } from '@coppice/contracts';
import { answer, command, create, defineActor, effect, ordered, request, send } from '../index.ts';
import type { AnswerParams, Birth, CreateParams, SendParams } from '../index.ts';

/**
 * A job for tests. Its machine uses every mapped feature (see inspect-machine.ts). The job waits, prepares a folder
 * with a command, requests a number from a desk, waits for approval, and ends. It has a time limit.
 */
export type JobInput = { repository?: string; limitMs?: number; padding?: string; parent?: string };
type JobContext = {
  id: string;
  repository: string;
  limitMs: number;
  pokes: number[];
  path: string | null;
  ticket: number | null;
  error: string | null;
  parent: string | null;
  padding: string;
  bornAt: number;
};
type JobEvent =
  | { type: 'start'; now: number }
  | { type: 'poke'; number: number; now: number }
  | { type: 'pad'; text: string; now: number }
  | { type: 'approve'; now: number }
  | { type: 'explode'; now: number }
  | { type: 'stop'; now: number }
  | { type: 'reminded'; now: number };

const jobSetup = setup({
  types: {
    context: {} as JobContext,
    events: {} as JobEvent,
    input: {} as Birth<JobInput>,
    output: {} as { ticket: number | null },
    emitted: {} as { type: 'state'; state: string },
  },
  actors: {
    prepare: effect(worktreeOperations.prepare),
    desk: effect<{ ticket: number }, { desk: string; name: string }>(),
  },
  actions: { send: ordered<SendParams>() },
  delays: { limit: ({ context }) => context.limitMs },
  guards: {
    explodes: () => {
      throw new Error('this guard explodes');
    },
  },
});

const owner = (context: JobContext) => ({ tenant: 'default', runId: 'r1', taskId: context.id });

export const jobMachine = jobSetup.createMachine({
  id: 'job',
  initial: 'waiting',
  context: ({ input }) => ({
    id: input.id,
    repository: input.input.repository ?? '/repo',
    limitMs: input.input.limitMs ?? 3_600_000,
    pokes: [],
    path: null,
    ticket: null,
    error: null,
    parent: input.input.parent ?? null,
    padding: input.input.padding ?? '',
    bornAt: input.now,
  }),
  on: { pad: { actions: assign({ padding: ({ event }) => event.text }) } },
  states: {
    waiting: {
      entry: emit({ type: 'state', state: 'waiting' }),
      on: { start: 'preparing', explode: { guard: 'explodes', target: 'failed' }, stop: 'stopped' },
    },
    preparing: {
      entry: [
        emit({ type: 'state', state: 'preparing' }),
        raise({ type: 'reminded', now: 0 }, { delay: 60_000, id: 'reminder' }),
      ],
      exit: cancel('reminder'),
      invoke: {
        id: 'prepare',
        src: 'prepare',
        input: ({ context }) => ({
          owner: owner(context),
          repository: context.repository,
          baseBranch: 'main',
          slug: 'x',
          setupKey: null,
        }),
        onDone: { target: 'asking', actions: assign({ path: ({ event }) => JSON.stringify(event.output) }) },
        onError: {
          target: 'failed',
          actions: assign({ error: ({ event }) => (event.error as { code: string }).code }),
        },
      },
      after: { limit: { target: 'failed', actions: assign({ error: 'timed-out' }) } },
      on: { reminded: {}, stop: 'stopped' },
      meta: { events: { approve: { refuse: 'nothing to approve while preparing' } } },
    },
    asking: {
      entry: emit({ type: 'state', state: 'asking' }),
      invoke: {
        id: 'desk',
        src: 'desk',
        input: ({ context }) => ({ desk: 'main', name: context.id }),
        onDone: { target: 'approving', actions: assign({ ticket: ({ event }) => event.output.ticket }) },
        onError: {
          target: 'failed',
          actions: assign({ error: ({ event }) => (event.error as { code: string }).code }),
        },
      },
      on: { stop: 'stopped' },
    },
    approving: {
      entry: emit({ type: 'state', state: 'approving' }),
      on: {
        approve: 'finished',
        stop: 'stopped',
        poke: { actions: assign({ pokes: ({ context, event }) => [...context.pokes, event.number] }) },
      },
    },
    finished: {
      entry: [
        emit({ type: 'state', state: 'finished' }),
        {
          type: 'send',
          params: ({ context }) => ({
            kind: 'desk',
            id: 'main',
            event: { type: 'left', name: context.id, pokes: context.pokes },
          }),
        },
      ],
      type: 'final',
    },
    failed: { entry: emit({ type: 'state', state: 'failed' }), type: 'final' },
    stopped: { entry: emit({ type: 'state', state: 'stopped' }), type: 'final' },
  },
  output: ({ context }) => ({ ticket: context.ticket }),
});

export const job = defineActor({
  kind: 'job',
  version: 1,
  machine: jobMachine,
  sources: {
    prepare: command(worktreeOperations.prepare, { pool: () => 'node1' }),
    desk: request<{ desk: string; name: string }>('desk', {
      id: (input) => input.desk,
      create: () => ({}),
      event: (input, asking) => ({ type: 'ask', name: input.name, ...asking }),
      cancel: (input) => ({ type: 'forget', name: input.name }),
    }),
  },
  actions: { send: send() },
  events: {
    start: { otherwise: 'refuse' },
    poke: { otherwise: 'defer' },
    pad: { otherwise: 'refuse' },
    approve: { otherwise: 'refuse', refusal: (state) => `can't approve a job that is ${state}` },
    explode: { otherwise: 'refuse' },
    stop: { otherwise: 'refuse' },
  },
  internalEvents: ['reminded'],
  spans: ({ value, context }) => ({
    within: context.parent === null ? null : { kind: 'job', id: context.parent },
    state: value,
    attributes: { 'coppice.task.id': context.id },
    end: value,
    failure: value === 'failed' ? { type: context.error ?? 'failed', message: 'the job failed' } : null,
  }),
  emitted: (event, self) => ({
    subject: `coppice.event.default.r1.${self.id}.${event.state}`,
    data: {
      id: self.eventId,
      sequence: self.sequence,
      time: self.time,
      state: event.state,
      ...(self.steps.length === 0 ? {} : { steps: self.steps }),
    },
  }),
  summary: (snapshot) => ({ error: snapshot.context.error, pokes: snapshot.context.pokes }),
});

export type DeskContext = {
  open: { name: string; to: ReplyTo; effectId: string }[];
  next: number;
  left: string[];
  forgotten: string[];
};
type DeskEvent =
  | { type: 'ask'; name: string; effectId: string; replyTo: ReplyTo; now: number }
  | { type: 'serve'; now: number }
  | { type: 'close'; now: number }
  | { type: 'make'; id: string; now: number }
  | { type: 'forget'; name: string; now: number }
  | { type: 'left'; name: string; pokes: number[]; now: number };

const first = (context: DeskContext) => {
  const entry = context.open[0];
  if (entry === undefined) throw new Error('nobody waits');
  return entry;
};

/** Answers one request for each `serve`, and ends on `close`. */
export const desk = defineActor({
  kind: 'desk',
  version: 1,
  machine: setup({
    types: { context: {} as DeskContext, events: {} as DeskEvent, input: {} as Birth<unknown> },
    actions: { answer: ordered<AnswerParams>(), create: ordered<CreateParams>() },
    guards: { somebodyWaits: ({ context }) => context.open.length > 0 },
  }).createMachine({
    id: 'desk',
    initial: 'open',
    context: { open: [], next: 1, left: [], forgotten: [] },
    states: {
      open: {
        on: {
          ask: {
            actions: assign({
              open: ({ context, event }) => [
                ...context.open,
                { name: event.name, to: event.replyTo, effectId: event.effectId },
              ],
            }),
          },
          serve: {
            guard: 'somebodyWaits',
            actions: [
              {
                type: 'answer',
                params: ({ context }) => {
                  const { to, effectId } = first(context);
                  const outcome: Outcome = { status: 'done', output: { ticket: context.next } };
                  return { to, effectId, outcome };
                },
              },
              assign({ open: ({ context }) => context.open.slice(1), next: ({ context }) => context.next + 1 }),
            ],
          },
          make: {
            actions: {
              type: 'create',
              params: ({ event }) => ({ kind: 'job', id: event.id, input: {}, event: { type: 'start' } }),
            },
          },
          forget: { actions: assign({ forgotten: ({ context, event }) => [...context.forgotten, event.name] }) },
          left: { actions: assign({ left: ({ context, event }) => [...context.left, event.name] }) },
          close: 'closed',
        },
      },
      closed: { type: 'final' },
    },
  }),
  actions: { answer: answer(), create: create() },
  events: {
    ask: { otherwise: 'refuse' },
    serve: { otherwise: 'refuse' },
    close: { otherwise: 'refuse' },
    make: { otherwise: 'refuse' },
    forget: { otherwise: 'refuse' },
    left: { otherwise: 'refuse' },
  },
  summary: (snapshot) => ({ left: snapshot.context.left }),
});
