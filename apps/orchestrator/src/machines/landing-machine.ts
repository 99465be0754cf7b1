import { assign, enqueueActions, setup } from 'xstate';
import type { Outcome, ReplyTo } from '@coppice/contracts';
import { ordered } from '@coppice/durable-actor';
import type { AnswerParams, Birth, Timed } from '@coppice/durable-actor';

/**
 * The landing slot of one target branch of one repository. Tasks land one after the other, in the order of their
 * requests. The holder merges, verifies and moves the branch. The slot only avoids wasted work. The compare-and-set on
 * the branch makes landing safe.
 *
 * Invariants:
 * 1. At most one task holds the slot. The slot is freed when its holder releases it or when the holder's time is over,
 *    so a parked holder can't block the others forever.
 * 2. Every request is answered with the slot or with a rejection.
 */
export type TurnRequest = {
  tenant: string;
  repositoryId: string;
  branch: string;
  taskId: string;
  /** Maximum time for which the slot may be held, in milliseconds. */
  holdMs: number;
};

type Waiting = { effectId: string; replyTo: ReplyTo; taskId: string; holdMs: number; waited: boolean };

/**
 * A granted slot. `waited` is true if another task held the slot at the time of the request, so that the branch has
 * most likely moved.
 */
export type Turn = { turn: string; waited: boolean };

export type LandingContext = { holder: Waiting | null; queue: Waiting[] };

type LandingEvent = (
  | { type: 'acquire'; effectId: string; replyTo: ReplyTo; taskId: string; holdMs: number }
  | { type: 'release'; turn: string }
) &
  Timed;

const landingQueueMax = 1_000;

const full: Outcome = {
  status: 'failed',
  error: {
    code: 'limit-exceeded',
    message: `more than ${landingQueueMax} tasks wait to land on this branch`,
    retryable: true,
  },
};

export const landingMachine = setup({
  types: { context: {} as LandingContext, events: {} as LandingEvent, input: {} as Birth<unknown> },
  actions: {
    answer: ordered<AnswerParams>(),
    grant: enqueueActions(({ context, enqueue }) => {
      const [next, ...queue] = context.queue;
      if (next === undefined) return;
      enqueue.assign({ holder: next, queue });
      enqueue({
        type: 'answer',
        params: {
          to: next.replyTo,
          effectId: next.effectId,
          outcome: { status: 'done', output: { turn: next.effectId, waited: next.waited } satisfies Turn },
        },
      });
    }),
    join: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== 'acquire') return;
      const { effectId, replyTo, taskId, holdMs } = event;
      if (context.queue.length >= landingQueueMax) {
        enqueue({ type: 'answer', params: { to: replyTo, effectId, outcome: full } });
      } else {
        enqueue.assign({
          queue: [...context.queue, { effectId, replyTo, taskId, holdMs, waited: context.holder !== null }],
        });
      }
    }),
    leave: assign({
      queue: ({ context, event }) =>
        event.type === 'release' ? context.queue.filter((waiting) => waiting.effectId !== event.turn) : context.queue,
    }),
    clear: assign({ holder: null }),
  },
  guards: {
    someoneWaits: ({ context }) => context.queue.length > 0,
    byHolder: ({ context, event }) => event.type === 'release' && context.holder?.effectId === event.turn,
  },
  delays: { turn: ({ context }) => context.holder?.holdMs ?? 0 },
}).createMachine({
  id: 'landing',
  context: { holder: null, queue: [] },
  initial: 'free',
  states: {
    free: {
      always: { guard: 'someoneWaits', target: 'held' },
      on: { acquire: { actions: 'join' }, release: { actions: 'leave' } },
    },
    held: {
      entry: 'grant',
      exit: 'clear',
      after: { turn: { target: 'free' } },
      on: {
        acquire: { actions: 'join' },
        release: [{ guard: 'byHolder', target: 'free' }, { actions: 'leave' }],
      },
    },
  },
});
