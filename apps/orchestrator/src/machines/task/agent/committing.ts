import { assign } from 'xstate';
import { removeSandbox } from '../clean/commands.ts';
import * as commands from './commands.ts';
import { taskSetup } from '../task-setup.ts';
import { cancelAfterStep, orFail } from '../transitions.ts';

const nothingChanged = (ignored: number): string =>
  ignored === 0
    ? 'the agent changed nothing'
    : `the agent changed nothing but ${ignored} new file${ignored === 1 ? '' : 's'} that ignore rules leave out`;

/** Turns the agent's changes into one commit. */
export const committing = taskSetup.createStateConfig({
  entry: { type: 'enter', params: { state: 'committing' } },
  on: cancelAfterStep,
  initial: 'closing',
  states: {
    // The sandbox is removed first, so that nothing writes to the worktree while its changes are read.
    closing: {
      invoke: {
        id: 'closeSandbox',
        src: 'removeSandbox',
        input: ({ context }) => removeSandbox(context),
        onDone: [
          { guard: 'ending', target: '#task.cleaning', actions: assign({ sandboxOpen: false }) },
          { target: 'importing', actions: assign({ sandboxOpen: false, retries: 0 }) },
        ],
        onError: orFail('closing'),
      },
    },
    importing: {
      invoke: {
        id: 'commit',
        src: 'commit',
        input: ({ context }) => commands.commit(context),
        onDone: [
          {
            guard: ({ event }) => event.output.status === 'no-changes',
            target: '#task.cleaning',
            actions: {
              type: 'decide',
              params: ({ event }) => ({
                end: 'no-changes',
                reason: nothingChanged(event.output.status === 'no-changes' ? event.output.ignored : 0),
              }),
            },
          },
          {
            target: '#task.verifying',
            actions: assign(({ event }) =>
              event.output.status === 'committed'
                ? {
                    commit: event.output.commit,
                    filesChanged: event.output.filesChanged,
                    protectedPaths: event.output.protectedPaths,
                  }
                : {},
            ),
          },
        ],
        onError: orFail('importing'),
      },
    },
  },
});
