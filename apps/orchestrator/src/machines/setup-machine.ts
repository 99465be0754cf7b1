import { assign, enqueueActions, setup } from 'xstate';
import { sandboxOperations, worktreeOperations } from '@coppice/contracts';
import type { Mount, Network, Outcome, Owner, ReplyTo, SandboxSpecification, WireError } from '@coppice/contracts';
import { effect, ordered } from '@coppice/durable-actor';
import type { AnswerParams, Birth, Timed } from '@coppice/durable-actor';
import { sandboxLimits } from './task/task-context.ts';
import { logTail, passed } from './task/task-orders.ts';

/**
 * One setup of one repository: the command runs once on the base tree, what it leaves is sealed, and every task whose setup has the same key gets a
 * copy. Many tasks may wait for it.
 *
 * Invariants:
 * 1. Who asked is answered once: sealed, or why not.
 * 2. A failed setup is tried again by the next who asks, never by itself.
 */
export type SetupRequest = {
  owner: Owner;
  repository: string;
  setupKey: string;
  baseCommit: string;
  run: string;
  image: string;
  network: Network;
  timeLimitMs: number;
};

type Waiting = { effectId: string; replyTo: ReplyTo };

export type SetupContext = {
  request: SetupRequest;
  waiting: Waiting[];
  attempt: number;
  node: string | null;
  mounts: Mount[];
};

type SetupEvent = ({ type: 'want'; effectId: string; replyTo: ReplyTo } | { type: 'unwant'; effectId: string }) & Timed;

/** Tasks that wait for one setup. */
const setupWaitingMax = 1_000;

const sealed: Outcome = { status: 'done', output: {} };
const failed = (error: WireError): Outcome => ({ status: 'failed', error });
const full = failed({
  code: 'limit-exceeded',
  message: `more than ${setupWaitingMax} tasks wait for this setup`,
  retryable: true,
});

/** XState can't infer the names of actions inside one that enqueues them. */
const answered = (params: AnswerParams) => ({ type: 'answer', params }) as never;

function sandboxOf(context: SetupContext): SandboxSpecification {
  const { request, attempt, mounts } = context;
  return {
    owner: request.owner,
    sandboxId: `setup-${request.setupKey}-${attempt}`,
    image: request.image,
    mounts,
    network: request.network,
    limits: sandboxLimits,
    environment: {},
  };
}

const ofContext = ({ context }: { context: SetupContext }) => ({
  owner: context.request.owner,
  repository: context.request.repository,
  setupKey: context.request.setupKey,
});

export const setupMachine = setup({
  types: { context: {} as SetupContext, events: {} as SetupEvent, input: {} as Birth<SetupRequest> },
  actors: {
    prepareSetup: effect(worktreeOperations.prepareSetup),
    run: effect(sandboxOperations.run),
    sealSetup: effect(worktreeOperations.sealSetup),
  },
  actions: {
    answer: ordered<AnswerParams>(),
  },
  guards: { someoneWaits: ({ context }) => context.waiting.length > 0 },
})
  .extend({
    // In a step of its own: XState infers what may be enqueued from what is set up before.
    actions: {
      join: enqueueActions(({ context, event, enqueue }) => {
        if (event.type !== 'want') return;
        const { effectId, replyTo } = event;
        if (context.waiting.length >= setupWaitingMax) enqueue(answered({ to: replyTo, effectId, outcome: full }));
        else enqueue.assign({ waiting: [...context.waiting, { effectId, replyTo }] });
      }),
      leave: assign({
        waiting: ({ context, event }) =>
          event.type === 'unwant'
            ? context.waiting.filter((waiting) => waiting.effectId !== event.effectId)
            : context.waiting,
      }),
      answerAll: enqueueActions(({ context, enqueue }, params: { outcome: Outcome }) => {
        for (const { effectId, replyTo } of context.waiting) {
          enqueue(answered({ to: replyTo, effectId, outcome: params.outcome }));
        }
        enqueue.assign({ waiting: [] });
      }),
      countAttempt: assign({ attempt: ({ context }) => context.attempt + 1 }),
    },
  })
  .createMachine({
    id: 'setup',
    context: ({ input }) => ({ request: input.input, waiting: [], attempt: 0, node: null, mounts: [] }),
    initial: 'idle',
    on: { want: { actions: 'join' }, unwant: { actions: 'leave' } },
    states: {
      idle: { always: { guard: 'someoneWaits', target: 'preparing' } },
      preparing: {
        entry: 'countAttempt',
        invoke: {
          id: 'prepareSetup',
          src: 'prepareSetup',
          input: ({ context }) => ({ ...ofContext({ context }), baseCommit: context.request.baseCommit }),
          onDone: [
            { guard: ({ event }) => event.output.status === 'sealed', target: 'sealed' },
            {
              target: 'running',
              actions: assign(({ event }) =>
                event.output.status === 'prepared' ? { node: event.output.node, mounts: event.output.mounts } : {},
              ),
            },
          ],
          onError: {
            target: 'idle',
            actions: { type: 'answerAll', params: ({ event }) => ({ outcome: failed(event.error as WireError) }) },
          },
        },
      },
      running: {
        invoke: {
          id: 'run',
          src: 'run',
          input: ({ context }) => ({
            specification: sandboxOf(context),
            command: { shell: context.request.run, timeLimitMs: context.request.timeLimitMs },
          }),
          onDone: [
            { guard: ({ event }) => passed(event.output), target: 'sealing' },
            {
              target: 'idle',
              actions: {
                type: 'answerAll',
                params: ({ event }) => {
                  const how = event.output.timedOut ? 'took too long' : `ended with exit code ${event.output.exitCode}`;
                  const details = { logTail: logTail(event.output), logArtifact: event.output.logArtifact };
                  return {
                    outcome: failed({ code: 'sandbox-failed', message: `setup ${how}`, retryable: false, details }),
                  };
                },
              },
            },
          ],
          onError: {
            target: 'idle',
            actions: { type: 'answerAll', params: ({ event }) => ({ outcome: failed(event.error as WireError) }) },
          },
        },
      },
      sealing: {
        invoke: {
          id: 'sealSetup',
          src: 'sealSetup',
          input: ofContext,
          onDone: { target: 'sealed' },
          onError: {
            target: 'idle',
            actions: { type: 'answerAll', params: ({ event }) => ({ outcome: failed(event.error as WireError) }) },
          },
        },
      },
      sealed: {
        entry: { type: 'answerAll', params: { outcome: sealed } },
        // Asked again, the worktree service says whether it still has it.
        always: { guard: 'someoneWaits', target: 'preparing' },
      },
    },
  });
