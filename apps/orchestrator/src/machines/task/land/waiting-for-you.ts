import { assign } from 'xstate';
import type { TaskContext } from '../task-context.ts';
import { taskSetup } from '../task-setup.ts';
import { cancelNow, discardNow } from '../transitions.ts';

const namedCharactersMax = 400;

/** Lists as many paths as fit into a reason. */
function named(paths: string[]): string {
  let shown = 0;
  for (let characters = 0; shown < paths.length; shown++) {
    characters += (paths[shown]?.length ?? 0) + 2;
    if (characters > namedCharactersMax) break;
  }
  const names = paths.slice(0, shown).join(', ');
  if (shown === paths.length) return names;
  return shown === 0 ? '`coppice show` names them' : `${names} and others; \`coppice show\` names them`;
}

const approved = ({ protectedPaths }: TaskContext) => ({ approvedPaths: protectedPaths });

/** Waits for the user's approval of changes to protected paths. */
export const awaitingApproval = taskSetup.createStateConfig({
  entry: [
    { type: 'enter', params: { state: 'awaiting-approval' } },
    assign({
      reason: ({ context }) =>
        `changes protected paths: ${named(context.protectedPaths.filter((path) => !context.approvedPaths.includes(path)))}`,
    }),
    { type: 'notifyRun', params: { event: 'task-idle' } },
  ],
  exit: assign({ reason: ({ context }) => (context.end === null ? null : context.reason) }),
  on: {
    approve: [
      { guard: 'pushesBranch', target: 'pushing', actions: assign(({ context }) => approved(context)) },
      { guard: 'mergesByHand', target: 'ready', actions: assign(({ context }) => approved(context)) },
      { target: 'landing', actions: assign(({ context }) => approved(context)) },
    ],
    reject: {
      target: 'cleaning',
      actions: {
        type: 'decide',
        params: ({ event }) => ({
          end: 'discarded',
          reason: event.reason ?? 'the change was rejected',
          keepBranch: false,
        }),
      },
    },
    ...discardNow,
    ...cancelNow,
  },
});

/** Waits for `coppice merge`. The task is verified if it has a verify command. */
export const ready = taskSetup.createStateConfig({
  entry: [
    { type: 'enter', params: { state: 'ready' } },
    assign({
      reason: ({ context }) =>
        `${context.specification.verify === false ? 'not verified' : 'verified'}; \`coppice merge\` lands it`,
    }),
    { type: 'notifyRun', params: { event: 'task-idle' } },
  ],
  exit: assign({ reason: ({ context }) => (context.end === null ? null : context.reason) }),
  on: { merge: { target: 'landing' }, ...discardNow, ...cancelNow },
});
