import { assign } from 'xstate';
import * as commands from './commands.ts';
import { taskSetup } from '../task-setup.ts';
import { cancelAfterStep, cancelNow, orFail } from '../transitions.ts';

/** Runs the setup, if the task has one. Then creates the worktree and the sandbox. */
export const preparing = taskSetup.createStateConfig({
  entry: { type: 'enter', params: { state: 'preparing' } },
  on: cancelAfterStep,
  initial: 'choosing',
  states: {
    choosing: {
      always: [
        { guard: ({ context }) => context.specification.setup !== null, target: 'resolvingSetup' },
        { target: 'worktree' },
      ],
    },
    resolvingSetup: {
      invoke: {
        id: 'resolveSetup',
        src: 'resolveSetup',
        input: ({ context }) => commands.resolveSetup(context),
        onDone: [
          { guard: 'ending', target: '#task.cleaning' },
          {
            target: 'setup',
            actions: assign(({ context, event }) => ({
              // The sealed result can only be copied on its own node.
              node: event.output.node ?? null,
              baseCommit: event.output.baseCommit,
              setup: {
                setupKey: commands.setupRequest(context, event.output).setupKey,
                inputsHash: event.output.inputsHash,
              },
              retries: 0,
            })),
          },
        ],
        onError: orFail('resolvingSetup'),
      },
    },
    setup: {
      on: cancelNow,
      invoke: {
        id: 'setup',
        src: 'setup',
        input: ({ context }) =>
          commands.setupRequest(context, {
            baseCommit: context.baseCommit ?? '',
            inputsHash: context.setup?.inputsHash ?? '',
            node: context.node ?? undefined,
          }),
        onDone: { target: 'worktree', actions: 'stepDone' },
        onError: orFail('setup'),
      },
    },
    worktree: {
      entry: assign({ worktreeOpen: true }),
      invoke: {
        id: 'prepare',
        src: 'prepare',
        input: ({ context }) => commands.prepare(context),
        onDone: [
          {
            guard: 'ending',
            target: '#task.cleaning',
            actions: assign(({ event }) => ({ node: event.output.node, branch: event.output.branch })),
          },
          {
            target: 'sandbox',
            actions: assign(({ event }) => ({
              node: event.output.node,
              branch: event.output.branch,
              baseCommit: event.output.baseCommit,
              mounts: event.output.mounts,
              retries: 0,
            })),
          },
        ],
        onError: orFail('worktree'),
      },
    },
    sandbox: {
      entry: assign({ sandboxOpen: true }),
      invoke: {
        id: 'createSandbox',
        src: 'createSandbox',
        input: ({ context }) => commands.createSandbox(context),
        onDone: [{ guard: 'ending', target: '#task.cleaning' }, { target: '#task.working' }],
        onError: orFail('sandbox'),
      },
    },
  },
});
