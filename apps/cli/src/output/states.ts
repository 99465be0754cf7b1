import { kindOfTaskState, taskStates } from '@coppice/contracts';
import type { RunState, TaskState, TaskStateKind } from '@coppice/contracts';
import type { Colours } from './colours.ts';

type Look = { symbol: string; paint: (colours: Colours, text: string) => string };

const look = (symbol: string, colour: keyof Colours): Look => ({
  symbol,
  paint: (colours, text) => colours[colour](text),
});

const good = look('✔', 'green');
const neutral = look('-', 'dim');

const lookOfKind: Record<TaskStateKind, Look> = {
  waiting: look('·', 'dim'),
  busy: look('●', 'cyan'),
  'needs-you': look('?', 'yellow'),
  end: look('✘', 'red'),
};
/** States that look different from others of their kind. */
const ownLook: Partial<Record<TaskState, Look>> = {
  merged: good,
  'landed-pending': look('!', 'yellow'),
  'branch-pushed': good,
  'no-changes': good,
  cancelled: neutral,
  discarded: neutral,
};

/** Returns the symbol and colour of a state. */
export const lookOf = (state: TaskState): Look => ownLook[state] ?? lookOfKind[kindOfTaskState(state)];

/** Returns a run's state for display. A run whose tasks all succeeded is `to finish` if the user has to finish some landings. */
export const shownRunState = (state: RunState, landingsPending: number): RunState | 'to finish' =>
  state === 'succeeded' && landingsPending > 0 ? 'to finish' : state;

/** Display texts for the states that a run's task counts use for unfinished tasks. */
const known: Record<string, string> = { active: 'at work', idle: 'waiting for you' };

/** Number of tasks in each state: `2 merged, 1 waiting for you`. */
export const countsText = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${known[state] ?? state}`)
    .join(', ');

export const stateColumns = Math.max(...taskStates.map((state) => state.length));
