/** The progress of a run, which is the API's view of the run with updates from events. Pure. */
import { isTaskEnd, taskStateRegistry } from '@coppice/contracts';
import type { CoppiceEvent, RunState, RunView, TaskStateRegistry } from '@coppice/contracts';

export type TaskProgress = {
  taskId: string;
  name: string;
  /** May be a state that this version doesn't know. */
  state: string;
  reason: string | null;
  landedCommit: string | null;
  /** The agent's current turn as text; null if it is unknown or no agent works. */
  doing: string | null;
  /** Time when the task left `waiting`, in milliseconds since 1970. `endedAt` has the same unit. */
  startedAt: number | null;
  endedAt: number | null;
};

export type RunProgress = {
  runId: string;
  repository: string;
  baseBranch: string;
  state: RunState;
  createdAt: number;
  endedAt: number | null;
  /** In the run file's order. */
  tasks: readonly TaskProgress[];
};

const timeOf = (text: string | null): number | null => (text === null ? null : Date.parse(text));

export function progressFrom(view: RunView): RunProgress {
  return {
    runId: view.runId,
    repository: view.repository,
    baseBranch: view.baseBranch,
    state: view.state,
    createdAt: Date.parse(view.createdAt),
    endedAt: timeOf(view.endedAt),
    tasks: view.tasks.map(({ taskId, name, state, reason }) => ({
      taskId,
      name,
      state,
      reason,
      landedCommit: null,
      doing: null,
      startedAt: null,
      endedAt: null,
    })),
  };
}

/** Updates the progress from a newer view. Keeps what the view doesn't contain, such as start times. */
export function withView(progress: RunProgress, view: RunView): RunProgress {
  const fresh = progressFrom(view);
  const known = new Map(progress.tasks.map((task) => [task.taskId, task]));
  const tasks = fresh.tasks.map((task) => {
    const before = known.get(task.taskId);
    // The view's state of a task may be older than the task's events. So the view is used only if it says that the task
    // has ended.
    return before === undefined || isTaskEnd(task.state) ? { ...before, ...withoutNulls(task) } : before;
  });
  return { ...fresh, tasks: tasks as TaskProgress[] };
}

const withoutNulls = (task: TaskProgress): Partial<TaskProgress> =>
  Object.fromEntries(Object.entries(task).filter(([, value]) => value !== null)) as Partial<TaskProgress>;

export function withEvent(progress: RunProgress, event: CoppiceEvent): RunProgress {
  const time = Date.parse(event.time);
  switch (event.type) {
    case 'coppice.run-ended':
      return { ...progress, state: event.data.state, endedAt: time };
    case 'coppice.task-state': {
      const { taskId, to, reason } = event.data;
      return withTask(progress, taskId, (task) => ({
        ...task,
        state: to,
        reason,
        doing: null,
        startedAt: to === 'waiting' ? task.startedAt : (task.startedAt ?? time),
        endedAt: isTaskEnd(to) ? time : null,
      }));
    }
    case 'coppice.task-ended': {
      const { taskId, state, reason, landedCommit } = event.data;
      return withTask(progress, taskId, (task) => ({
        ...task,
        state,
        reason,
        landedCommit,
        doing: null,
        endedAt: time,
      }));
    }
    case 'coppice.task-turn': {
      const { taskId } = event.data;
      // The turn is shown only while the task works, since its event may arrive late.
      return withTask(progress, taskId, (task) =>
        task.state === 'working' ? { ...task, doing: turnText(event.data) } : task,
      );
    }
    default:
      return progress;
  }
}

export function turnText({ turn, calls, text }: { turn: number; calls: TurnCall[]; text: string }): string {
  const does = calls.map(({ name, about }) => `${name} ${about}`.trim()).join('; ');
  return `turn ${turn}: ${does === '' ? text : does}`;
}
type TurnCall = { name: string; about: string };

function withTask(progress: RunProgress, taskId: string, change: (task: TaskProgress) => TaskProgress): RunProgress {
  return { ...progress, tasks: progress.tasks.map((task) => (task.taskId === taskId ? change(task) : task)) };
}

/** True if a task waits for the user's decision, and all other unfinished tasks wait too. */
export function waitsForPerson(
  tasks: readonly { state: string }[],
  registry: TaskStateRegistry = taskStateRegistry,
): boolean {
  const open = tasks.map(({ state }) => registry.kindOf(state)).filter((kind) => kind !== 'end');
  return open.includes('needs-you') && open.every((kind) => kind === 'needs-you' || kind === 'waiting');
}
