import { assign, enqueueActions, setup } from 'xstate';
import type { EventObject } from 'xstate';
import { sandboxOperations, worktreeOperations } from '@coppice/contracts';
import type {
  CommandResult,
  Mount,
  Network,
  Outcome,
  Owner,
  ReplyTo,
  SandboxSpecification,
  WireError,
} from '@coppice/contracts';
import { effect, failureOf, ordered } from '@coppice/durable-actor';
import type { AnswerParams, Birth, Timed } from '@coppice/durable-actor';
import { sandboxLimits } from './task/task-context.ts';
import { logTail, passed } from './task/command-result.ts';

/**
 * One setup of one repository. The command runs once on the base tree, and its result is sealed. Every task with the
 * same setup key gets a copy.
 *
 * Invariants:
 * 1. Each request is answered once, with the sealed setup or with the reason for its failure.
 * 2. After a failed command, the setup runs again only if another task requests it. An attempt without a result (a
 *    retryable or unknown error) is retried a few times.
 * 3. Each attempt starts with a fresh tree. The tree of a failed attempt is removed.
 */
export type SetupRequest = {
  owner: Owner;
  repository: string;
  setupKey: string;
  /** The node that runs the setup, or null for any node. Missing in values stored by earlier versions. */
  node?: string | null;
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
  /** Number of the attempt. Each attempt has its own tree, so it never uses files of a failed attempt. */
  attempt: number;
  retries: number;
  /** The answer to all waiting tasks. It is sent after the tree of a failed attempt is removed. */
  outcome: Outcome | null;
  node: string | null;
  mounts: Mount[];
};

type SetupEvent = ({ type: 'want'; effectId: string; replyTo: ReplyTo } | { type: 'unwant'; effectId: string }) & Timed;

const setupWaitingMax = 1_000;

const sealed: Outcome = { status: 'done', output: {} };
const failed = (error: WireError): Outcome => ({ status: 'failed', error });
const full = failed({
  code: 'limit-exceeded',
  message: `more than ${setupWaitingMax} tasks wait for this setup`,
  retryable: true,
});

/** Number of consecutive attempts without a result at which the setup fails. */
const attemptsMax = 3;

const failure = [
  { guard: 'mayTryAgain', target: 'discarding', actions: 'countRetry' },
  {
    target: 'discarding',
    actions: {
      type: 'fail',
      params: ({ event }: { event: EventObject }) => ({ error: failureOf(event).error }),
    },
  },
] as const;

function commandFailure(result: CommandResult): WireError {
  const how = result.timedOut ? 'took too long' : `ended with exit code ${result.exitCode}`;
  const details = { logTail: logTail(result), logArtifact: result.logArtifact };
  return { code: 'sandbox-failed', message: `setup ${how}`, retryable: false, details };
}

/** The cast is needed, since XState can't infer the names of actions inside an action that enqueues them. */
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
  attempt: context.attempt,
});

export const setupMachine = setup({
  types: { context: {} as SetupContext, events: {} as SetupEvent, input: {} as Birth<SetupRequest> },
  actors: {
    prepareSetup: effect(worktreeOperations.prepareSetup),
    run: effect(sandboxOperations.run),
    sealSetup: effect(worktreeOperations.sealSetup),
    discardSetup: effect(worktreeOperations.discardSetup),
  },
  actions: {
    answer: ordered<AnswerParams>(),
  },
  guards: {
    someoneWaits: ({ context }) => context.waiting.length > 0,
    decided: ({ context }) => context.outcome !== null,
    /** True if the attempt had no result, since the error is retryable or the executor was lost. */
    mayTryAgain: ({ context, event }) => {
      const { retryable, code } = failureOf(event).error;
      return (retryable || code === 'unknown') && context.retries + 1 < attemptsMax;
    },
  },
})
  .extend({
    // A separate `extend`, since an action can only enqueue actions that an earlier setup defines.
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
      answerAll: enqueueActions(({ context, enqueue }) => {
        for (const { effectId, replyTo } of context.waiting) {
          enqueue(answered({ to: replyTo, effectId, outcome: context.outcome ?? sealed }));
        }
        enqueue.assign({ waiting: [], outcome: null, retries: 0 });
      }),
      fail: assign((_, params: { error: WireError }) => ({ outcome: failed(params.error) })),
      countRetry: assign({ retries: ({ context }) => context.retries + 1 }),
      countAttempt: assign({ attempt: ({ context }) => context.attempt + 1 }),
    },
  })
  .createMachine({
    id: 'setup',
    context: ({ input }) => ({
      request: input.input,
      waiting: [],
      attempt: 0,
      retries: 0,
      outcome: null,
      node: input.input.node ?? null,
      mounts: [],
    }),
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
          onError: failure,
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
              target: 'discarding',
              actions: { type: 'fail', params: ({ event }) => ({ error: commandFailure(event.output) }) },
            },
          ],
          onError: failure,
        },
      },
      sealing: {
        invoke: {
          id: 'sealSetup',
          src: 'sealSetup',
          input: ofContext,
          onDone: { target: 'sealed' },
          onError: failure,
        },
      },
      discarding: {
        invoke: {
          id: 'discardSetup',
          src: 'discardSetup',
          input: ofContext,
          onDone: [{ guard: 'decided', target: 'idle', actions: 'answerAll' }, { target: 'preparing' }],
          // A folder that isn't removed here is removed with the task that requested the setup.
          onError: [{ guard: 'decided', target: 'idle', actions: 'answerAll' }, { target: 'preparing' }],
        },
      },
      sealed: {
        entry: 'answerAll',
        // After a later request, the worktree service checks that it still has the sealed result.
        always: { guard: 'someoneWaits', target: 'preparing' },
      },
    },
  });
