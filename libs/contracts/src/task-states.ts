import { z } from 'zod';

/** Kinds of states: waits for other tasks; active; waits for the user's decision; final. */
export type TaskStateKind = 'waiting' | 'busy' | 'needs-you' | 'end';

type Entry = {
  kind: TaskStateKind;
  /** Tasks that depend on this one may start. */
  isSuccess?: true;
};

/** The registry of task states, in the order of a task's life. Lists of states derive from it. */
const taskStateEntries = {
  waiting: { kind: 'waiting' },
  preparing: { kind: 'busy' },
  working: { kind: 'busy' },
  committing: { kind: 'busy' },
  verifying: { kind: 'busy' },
  'awaiting-approval': { kind: 'needs-you' },
  ready: { kind: 'needs-you' },
  landing: { kind: 'busy' },
  cleaning: { kind: 'busy' },
  merged: { kind: 'end', isSuccess: true },
  'landed-pending': { kind: 'end', isSuccess: true },
  'branch-pushed': { kind: 'end' },
  'no-changes': { kind: 'end', isSuccess: true },
  failed: { kind: 'end' },
  'timed-out': { kind: 'end' },
  cancelled: { kind: 'end' },
  discarded: { kind: 'end' },
} as const satisfies Record<string, Entry>;

export type TaskState = keyof typeof taskStateEntries;
export const taskStates = Object.keys(taskStateEntries) as TaskState[];
export const taskStateSchema = z.enum(taskStates);

export const kindOfTaskState = (state: TaskState): TaskStateKind => taskStateEntries[state].kind;

export type TaskEnd = {
  [State in TaskState]: (typeof taskStateEntries)[State]['kind'] extends 'end' ? State : never;
}[TaskState];
export const isTaskEnd = (state: string): state is TaskEnd =>
  Object.hasOwn(taskStateEntries, state) && taskStateEntries[state as TaskState].kind === 'end';
export const taskEnds = taskStates.filter((state): state is TaskEnd => isTaskEnd(state));

/** Final states after which tasks that depend on this one may start. */
export const taskSuccesses = taskStates.filter((state) => 'isSuccess' in taskStateEntries[state]);
