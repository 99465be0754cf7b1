import { assign } from 'xstate';
import { mergePrepared, mergeRefusals, needsApproval } from './merges.ts';
import * as commands from './commands.ts';
import { passed } from '../command-result.ts';
import { taskSetup } from '../task-setup.ts';
import { cancelAfterStep, cancelNow, orFail } from '../transitions.ts';
import { orVerifyAnew, treeVerified, verifyFailed } from './transitions.ts';

/** Runs the verify command on the tree that would land now. */
export const verifying = taskSetup.createStateConfig({
  entry: { type: 'enter', params: { state: 'verifying' } },
  always: { guard: 'ending', target: 'cleaning' },
  on: cancelAfterStep,
  initial: 'merging',
  states: {
    merging: {
      invoke: {
        id: 'prepareMerge',
        src: 'prepareMerge',
        input: ({ context }) => commands.prepareMerge(context),
        onDone: [
          ...mergeRefusals(),
          {
            guard: ({ context }) => context.specification.verify === false,
            target: 'decided',
            actions: assign(({ context, event }) => mergePrepared(context, event.output)),
          },
          { target: 'running', actions: assign(({ context, event }) => mergePrepared(context, event.output)) },
        ],
        onError: orFail('merging'),
      },
    },
    running: {
      on: cancelNow,
      invoke: {
        id: 'verify',
        src: 'verify',
        input: ({ context }) => commands.verify(context),
        onDone: [
          {
            guard: ({ event }) => passed(event.output),
            target: 'decided',
            actions: assign(({ context }) => treeVerified(context)),
          },
          { target: '#task.cleaning', actions: assign(({ context, event }) => verifyFailed(context, event.output)) },
        ],
        onError: orVerifyAnew('merging'),
      },
    },
    decided: {
      always: [
        { guard: needsApproval, target: '#task.awaiting-approval' },
        { guard: 'pushesBranch', target: '#task.pushing' },
        { guard: 'mergesByHand', target: '#task.ready' },
        { target: '#task.landing' },
      ],
    },
  },
});
