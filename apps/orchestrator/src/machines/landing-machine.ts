import { assign, enqueueActions, setup } from 'xstate';
import type { Outcome, ReplyTo } from '@coppice/contracts';
import { ordered } from '@coppice/durable-actor';
import type { AnswerParams, Birth, Timed } from '@coppice/durable-actor';

/**
 * Turns at one target branch of one repository: tasks land one after the other, in the order in which they asked. The holder merges, verifies and
 * moves the branch; that two never do is a matter of speed, not of safety, which is the compare-and-set on the branch.
 *
 * Invariants:
 * 1. At most one turn is held. It ends when its holder releases it, or when its time is over (a holder that is parked must not block the others for ever).
 * 2. Who asked is answered: with the turn, or with a refusal.
 */
export type TurnRequest = {
  tenant: string;
  repositoryId: string;
  branch: string;
  taskId: string;
  /** How long the turn may be held, in milliseconds. */
  holdMs: number;
};

type Waiting = { effectId: string; replyTo: ReplyTo; taskId: string; holdMs: number; waited: boolean };

/** A turn. `waited`: another had the one before it meanwhile, so the branch has most likely moved since it was asked for. */
export type Turn = { turn: string; waited: boolean };

export type LandingContext = { holder: Waiting | null; queue: Waiting[] };

type LandingEvent = (
  | { type: 'acquire'; effectId: string; replyTo: ReplyTo; taskId: string; holdMs: number }
  | { type: 'release'; turn: string }
) &
  Timed;

/** Tasks that wait for a turn at one branch. */
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
    /** Gives the turn to the first who waits. */
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
