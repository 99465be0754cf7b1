import { z } from 'zod';

/**
 * Kinds of states. `waiting` means that the task waits for other tasks, and `needs-you` that it waits for the user's
 * decision.
 */
export type TaskStateKind = 'waiting' | 'busy' | 'needs-you' | 'end';

/**
 * How a task ended. `to-finish` means that only the landing is left, which the user finishes. `given-up` means that a
 * person ended the task.
 */
export type TaskOutcome = 'done' | 'to-finish' | 'failed' | 'given-up';

/** A state. `label` is its display text. */
export type TaskStateEntry =
  | { kind: Exclude<TaskStateKind, 'end'>; label: string }
  | {
      kind: 'end';
      label: string;
      outcome: TaskOutcome;
      /** True if tasks that depend on this one may start. */
      isSuccess?: true;
    };

/** The task states, in the order of a task's life. Lists of states derive from this registry. */
export const taskStateEntries = {
  waiting: { kind: 'waiting', label: 'waiting' },
  preparing: { kind: 'busy', label: 'preparing' },
  working: { kind: 'busy', label: 'working' },
  committing: { kind: 'busy', label: 'committing' },
  verifying: { kind: 'busy', label: 'verifying' },
  'awaiting-approval': { kind: 'needs-you', label: 'awaiting approval' },
  ready: { kind: 'needs-you', label: 'ready' },
  landing: { kind: 'busy', label: 'landing' },
  cleaning: { kind: 'busy', label: 'cleaning' },
  merged: { kind: 'end', label: 'merged', outcome: 'done', isSuccess: true },
  'landed-pending': { kind: 'end', label: 'to finish', outcome: 'to-finish', isSuccess: true },
  'branch-pushed': { kind: 'end', label: 'branch pushed', outcome: 'done' },
  'no-changes': { kind: 'end', label: 'no changes', outcome: 'done', isSuccess: true },
  failed: { kind: 'end', label: 'failed', outcome: 'failed' },
  'timed-out': { kind: 'end', label: 'timed out', outcome: 'failed' },
  cancelled: { kind: 'end', label: 'cancelled', outcome: 'given-up' },
  discarded: { kind: 'end', label: 'discarded', outcome: 'given-up' },
} as const satisfies Record<string, TaskStateEntry>;

export type TaskState = keyof typeof taskStateEntries;
export type TaskStateOf<Kind extends TaskStateKind> = {
  [State in TaskState]: (typeof taskStateEntries)[State]['kind'] extends Kind ? State : never;
}[TaskState];
export type TaskEnd = TaskStateOf<'end'>;

/**
 * The task states that a client knows. The functions accept any string, since a newer service may send a state that
 * this version doesn't know.
 */
export type TaskStateRegistry = {
  states: readonly string[];
  /** Returns `busy` for an unknown state. The task hasn't ended, and this version doesn't know what it waits for. */
  kindOf(state: string): TaskStateKind;
  /** Returns the display text of a state, or the name of an unknown state. */
  labelOf(state: string): string;
  /** Returns null for a state that isn't an end. */
  outcomeOf(state: string): TaskOutcome | null;
};

export function taskStateRegistryOf(entries: Readonly<Record<string, TaskStateEntry>>): TaskStateRegistry {
  const known = new Map(Object.entries(entries));
  return {
    states: [...known.keys()],
    kindOf: (state) => known.get(state)?.kind ?? 'busy',
    labelOf: (state) => known.get(state)?.label ?? state,
    outcomeOf: (state) => {
      const entry = known.get(state);
      return entry?.kind === 'end' ? entry.outcome : null;
    },
  };
}

export const taskStateRegistry = taskStateRegistryOf(taskStateEntries);
export const taskStates = Object.keys(taskStateEntries) as TaskState[];

/**
 * Returns the schema of a task's state in a message. The schema accepts any string, so that this version can read
 * messages of a later version.
 */
export const taskStateSchemaOf = (states: readonly string[]) =>
  z
    .union([z.enum(states), z.string()])
    .describe(
      "A state from the list. Later versions may add states: treat an unknown one as a state that isn't an end.",
    );
export const taskStateSchema = taskStateSchemaOf(taskStates);

export const kindOfTaskState = (state: string): TaskStateKind => taskStateRegistry.kindOf(state);
export const isTaskEnd = (state: string): state is TaskEnd => kindOfTaskState(state) === 'end';
export const taskEnds = taskStates.filter((state): state is TaskEnd => isTaskEnd(state));

export const taskSuccesses = taskStates.filter((state) => 'isSuccess' in taskStateEntries[state]);
