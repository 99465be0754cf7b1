import { taskStateRegistry } from '@coppice/contracts';
import type { RunState, TaskOutcome, TaskStateKind, TaskStateRegistry } from '@coppice/contracts';
import type { Colours } from './colours.ts';
import { plainLine } from './text.ts';

type Look = { symbol: string; paint: (colours: Colours, text: string) => string };

const look = (symbol: string, colour: keyof Colours): Look => ({
  symbol,
  paint: (colours, text) => colours[colour](text),
});

const looks: Record<Exclude<TaskStateKind, 'end'> | TaskOutcome, Look> = {
  waiting: look('·', 'dim'),
  busy: look('●', 'cyan'),
  'needs-you': look('?', 'yellow'),
  done: look('✔', 'green'),
  'to-finish': look('!', 'yellow'),
  failed: look('✘', 'red'),
  'given-up': look('-', 'dim'),
};

/** Returns the display text of a task's state. For an unknown state, returns the state itself. */
export const stateText = (state: string, registry: TaskStateRegistry = taskStateRegistry): string =>
  plainLine(registry.labelOf(state));

export function lookOf(state: string, registry: TaskStateRegistry = taskStateRegistry): Look {
  const kind = registry.kindOf(state);
  return looks[kind === 'end' ? (registry.outcomeOf(state) ?? 'failed') : kind];
}

/** Returns a run's state for display. A run that succeeded is `to finish` if the user has to finish landings. */
export const shownRunState = (state: RunState, landingsPending: number): RunState | 'to finish' =>
  state === 'succeeded' && landingsPending > 0 ? 'to finish' : state;

/** Display texts for the keys of unfinished tasks in a run's task counts. */
const known: Record<string, string> = { active: 'at work', idle: 'waiting for you' };

/** Formats the number of tasks in each state, such as `2 merged, 1 waiting for you`. */
export const countsText = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${known[state] ?? stateText(state)}`)
    .join(', ');

export const stateColumnsOf = (registry: TaskStateRegistry): number =>
  Math.max(...registry.states.map((state) => stateText(state, registry).length));
export const stateColumns = stateColumnsOf(taskStateRegistry);
