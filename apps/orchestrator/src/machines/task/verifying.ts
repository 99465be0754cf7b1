import { mergePrepared, mergeRefusals } from './merges.ts';
import * as orders from './task-orders.ts';
import { taskSetup } from './task-setup.ts';
import { cancelAfterStep, cancelNow, orFail, orVerifyAnew } from './transitions.ts';

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
        input: ({ context }) => orders.prepareMerge(context),
        onDone: [
          ...mergeRefusals(),
          { guard: 'nothingToVerify', target: 'decided', actions: mergePrepared },
          { target: 'running', actions: mergePrepared },
        ],
        onError: orFail('merging'),
      },
    },
    running: {
      on: cancelNow,
      invoke: {
        id: 'verify',
        src: 'verify',
        input: ({ context }) => orders.verify(context),
        onDone: [
          { guard: ({ event }) => orders.passed(event.output), target: 'decided', actions: 'treeVerified' },
          {
            target: '#task.cleaning',
            actions: { type: 'verifyFailed', params: ({ event }) => ({ result: event.output }) },
          },
        ],
        onError: orVerifyAnew('merging'),
      },
    },
    decided: {
      always: [
        { guard: 'needsApproval', target: '#task.awaiting-approval' },
        { guard: 'pushesBranch', target: '#task.pushing' },
        { guard: 'mergesByHand', target: '#task.ready' },
        { target: '#task.landing' },
      ],
    },
  },
});
