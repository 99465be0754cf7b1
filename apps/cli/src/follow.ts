/**
 * Follows a run until the run ends or needs the user's decision, or the caller stops following.
 *
 * Collaborators: the stream of events, read from the run's first event on; run.get and task.get, which return the
 * authoritative state.
 *
 * Invariants:
 * 1. Events update the display. The final result comes from the API.
 * 2. The run is polled every `checkIntervalMs`, so a lost event can't delay the display for longer.
 * 3. All stored events of the run are shown before following ends. The follower waits `lastEventMsMax` for the last
 *    event. If the event doesn't arrive, the stream may have deleted it, so the follower reads the rest of the stream
 *    and ends.
 * 4. Following ends at once when the stack ends. If the stack doesn't answer for `waitMsMax`, following fails, even if
 *    events still arrive.
 */
import { CoppiceError, api, subjects, isTaskEnd, taskStateRegistry } from '@coppice/contracts';
import type { CoppiceEvent, RunView, TaskView } from '@coppice/contracts';
import type { ApiClient, StackClient } from './api-client.ts';
import { ask, followWaitMsMax } from './ask.ts';
import type { OnWaiting } from './ask.ts';
import { LiveEvents } from './live-events.ts';
import { pause } from './pause.ts';
import { progressFrom, waitsForPerson, withEvent, withView } from './progress.ts';
import type { RunProgress, TaskProgress } from './progress.ts';
import { noAnswer, untilStackEnds } from './stack-lost.ts';

export type FollowOptions = {
  runId: string;
  /** If set, only this task is followed. */
  taskId?: string | undefined;
  /** Ends following. The run continues. */
  signal: AbortSignal;
  /**
   * Called once for each event, in stream order. `raw` is the unchanged message. `event` is null if this version can't
   * parse the message.
   */
  onEvent(event: CoppiceEvent | null, raw: unknown, progress: RunProgress): void;
  onProgress(progress: RunProgress): void;
  /** Default: the client's `onWaiting`. */
  onWaiting?: OnWaiting | undefined;
  /** Time limit in milliseconds for the stack's answers. Default: `followWaitMsMax`. */
  waitMsMax?: number | undefined;
};

export type Followed = { kind: 'over' | 'person-awaited'; run: RunView; tasks: TaskView[] } | { kind: 'detached' };

const checkIntervalMs = 3_000;
/**
 * If the run waits for the user, following ends after this time without an event. The delay is needed since a task that
 * lands without the user is `ready` for a moment.
 */
const settleMs = 1_200;
const lastEventMsMax = 2_000;
const questionsAtOnce = 16;

/** @throws CliError if the stack ends, or doesn't answer for `waitMsMax` */
export async function followRun(client: StackClient, options: FollowOptions): Promise<Followed> {
  const { runId, signal, onWaiting = client.onWaiting, waitMsMax = followWaitMsMax } = options;
  // Calls don't watch `stackEnded`, since `untilStackEnds` does. The error of `untilStackEnds` also names the command
  // to continue with.
  const asking: ApiClient = { ...client, waitMsMax, onWaiting, stackEnded: undefined };
  const over = new AbortController();
  const leaving = new AbortController();
  // Adds a listener to `signal`. Without a listener, main.ts would end the process at once on Ctrl-C.
  void aborted(signal, over.signal).then(() => leaving.abort());
  try {
    const ended = untilStackEnds(client, over.signal, watchingAgain(runId));
    const view = await Promise.race([ask(asking, api.runGet, { runId }, { signal: leaving.signal }), ended]);
    return await Promise.race([new Follower(asking, { ...options, signal: leaving.signal }, view).run(), ended]);
  } catch (error) {
    if (signal.aborted && error instanceof CoppiceError && error.code === 'cancelled') return { kind: 'detached' };
    throw noAnswer(error, watchingAgain(runId));
  } finally {
    over.abort();
    leaving.abort();
  }
}

class Follower {
  readonly #client: ApiClient;
  readonly #options: FollowOptions;
  readonly #ending = new AbortController();
  readonly #reading = new AbortController();
  readonly #events: LiveEvents;
  #following: Promise<void> = Promise.resolve();
  #progress: RunProgress;
  #lastChange = performance.now();
  #wake = Promise.withResolvers<void>();
  #hasLastEvent = false;
  readonly #lastEvent = Promise.withResolvers<void>();

  constructor(client: ApiClient, options: FollowOptions, view: RunView) {
    this.#client = client;
    this.#options = options;
    this.#progress = progressFrom(view);
    const wanted = subjects.event(client.tenant, options.runId, options.taskId ?? '*', '*');
    this.#events = new LiveEvents(client, wanted, (event, raw) => this.#onEvent(event, raw));
  }

  async run(): Promise<Followed> {
    const { signal } = this.#options;
    const ending = this.#ending.signal;
    try {
      this.#options.onProgress(this.#progress);
      this.#following = this.#events.follow(AbortSignal.any([this.#reading.signal, ending]));
      // The caller can detach even while there is no connection.
      return await Promise.race([
        aborted(signal, ending).then((): Followed => ({ kind: 'detached' })),
        this.#following.then(() => new Promise<never>(() => {})),
        this.#watchForEnd(),
      ]);
    } finally {
      this.#ending.abort();
      this.#wake.resolve();
    }
  }

  #onEvent(event: CoppiceEvent | null, raw: unknown): void {
    if (event !== null) this.#progress = withEvent(this.#progress, event);
    this.#options.onEvent(event, raw, this.#progress);
    this.#options.onProgress(this.#progress);
    this.#lastChange = performance.now();
    if (event !== null && isLast(event, this.#options.taskId)) {
      this.#hasLastEvent = true;
      this.#lastEvent.resolve();
    }
    this.#wake.resolve();
  }

  async #watchForEnd(): Promise<Followed> {
    while (!this.#ending.signal.aborted) {
      const answer = this.#looksOver() || this.#dueForCheck() ? await this.#ask() : null;
      if (answer !== null) return answer;
      await this.#pause();
    }
    return { kind: 'detached' };
  }

  async #untilLastEvent(): Promise<void> {
    await this.#orAfter(lastEventMsMax, this.#lastEvent.promise);
    if (this.#hasLastEvent) return;
    this.#reading.abort();
    await this.#following;
    await this.#events.catchUp(this.#ending.signal);
  }

  #looksOver(): boolean {
    const { state, tasks } = this.#progress;
    const task = tasks.find(({ taskId }) => taskId === this.#options.taskId);
    return task === undefined ? state !== 'running' : isOver(task);
  }

  #checkedAt = performance.now();
  #dueForCheck(): boolean {
    const now = performance.now();
    const settled = this.#seemsToWait() && now - this.#lastChange >= settleMs;
    return settled || now - this.#checkedAt >= checkIntervalMs;
  }

  #seemsToWait(): boolean {
    return waitsForPerson(this.#watched(this.#progress.tasks));
  }

  #watched<Task extends { taskId: string }>(tasks: readonly Task[]): readonly Task[] {
    const { taskId } = this.#options;
    return taskId === undefined ? tasks : tasks.filter((task) => task.taskId === taskId);
  }

  /** Checks the state in the API's answer. If this version doesn't know the state, checks the events. */
  #hasEnded({ taskId, state }: { taskId: string; state: string }): boolean {
    if (taskStateRegistry.states.includes(state)) return isTaskEnd(state);
    return this.#progress.tasks.some((task) => task.taskId === taskId && isOver(task));
  }

  async #pause(): Promise<void> {
    const waitMs = this.#seemsToWait() ? settleMs : checkIntervalMs;
    await this.#orAfter(waitMs, this.#wake.promise);
    this.#wake = Promise.withResolvers();
  }

  async #orAfter(milliseconds: number, happened: Promise<void>): Promise<void> {
    const timer = new AbortController();
    const stopped = AbortSignal.any([timer.signal, this.#ending.signal]);
    await Promise.race([happened, pause(milliseconds, stopped)]);
    timer.abort();
  }

  async #ask(): Promise<Followed | null> {
    const { runId } = this.#options;
    const run = await ask(this.#client, api.runGet, { runId }, { signal: this.#ending.signal });
    this.#checkedAt = performance.now();
    this.#progress = withView(this.#progress, run);
    this.#options.onProgress(this.#progress);
    const over =
      this.#options.taskId === undefined
        ? run.state !== 'running'
        : run.state !== 'running' || this.#watched(run.tasks).every((task) => this.#hasEnded(task));
    const settled = performance.now() - this.#lastChange >= settleMs;
    if (!over && !(settled && this.#seemsToWait())) return null;
    const tasks = await tasksOf(this.#client, this.#watched(run.tasks));
    if (over) {
      await this.#untilLastEvent();
      return { kind: 'over', run, tasks };
    }
    return waitsForPerson(tasks) ? { kind: 'person-awaited', run, tasks } : null;
  }
}

/** True if a task has ended. `endedAt` is for states that this version doesn't know. */
const isOver = ({ state, endedAt }: TaskProgress): boolean => isTaskEnd(state) || endedAt !== null;

const isLast = (event: CoppiceEvent, taskId: string | undefined): boolean =>
  taskId === undefined
    ? event.type === 'coppice.run-ended'
    : event.type === 'coppice.task-ended' && event.data.taskId === taskId;

/** Reads each task with a call of its own, since all tasks of a large run don't fit into one message. */
export async function tasksOf(client: ApiClient, summaries: readonly { taskId: string }[]): Promise<TaskView[]> {
  const views: TaskView[] = [];
  for (let start = 0; start < summaries.length; start += questionsAtOnce) {
    const batch = summaries.slice(start, start + questionsAtOnce);
    for (const view of await Promise.all(batch.map(({ taskId }) => taskOrNull(client, taskId)))) {
      if (view !== null) views.push(view);
    }
  }
  return views;
}

/** Returns null if the task doesn't exist yet. */
async function taskOrNull(client: ApiClient, taskId: string): Promise<TaskView | null> {
  try {
    return await ask(client, api.taskGet, { taskId });
  } catch (error) {
    if (error instanceof CoppiceError && error.code === 'not-found') return null;
    throw error;
  }
}

/** Removes its listener when `until` is aborted. */
function aborted(signal: AbortSignal, until: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true, signal: until });
  });
}

const watchingAgain = (runId: string) => ({ kept: `run ${runId} is`, command: `coppice watch ${runId}` });
