/**
 * Follows a run until it is over, a person is waited for, or the caller has seen enough.
 *
 * Collaborators: the events stream, which is read from the run's first event on; run.get and task.get, which are the truth.
 *
 * Invariants:
 * 1. Events move what is shown; what is answered at the end comes from the API.
 * 2. An event that never comes delays by `checkIntervalMs` at most: the run is also asked for.
 * 3. What the stream told before the end is shown before the end is: the run's last event is waited for, at most `lastEventMsMax` (events are
 *    not kept for ever).
 * 4. The end of the stack ends the following at once. One that doesn't answer ends it after `failuresMax` questions in a row, between which
 *    only an answer, not the passing of time, counts as a sign of life; never is waited for ever.
 */
import { CoppiceError, api, coppiceEventSchema, streams, subjects } from '@coppice/contracts';
import type { CoppiceEvent, RunView, TaskView } from '@coppice/contracts';
import type { ApiClient, StackClient } from './api-client.ts';
import { pause } from './pause.ts';
import { isEnd, progressFrom, waitsForPerson, withEvent, withView } from './progress.ts';
import type { RunProgress } from './progress.ts';
import { stackLost, untilStackEnds } from './stack-lost.ts';

export type FollowOptions = {
  runId: string;
  /** Only until this task is over. */
  taskId?: string | undefined;
  /** Detaches. */
  signal: AbortSignal;
  /** Each event once, in the order of the stream; `raw` is what a newer version may have sent. */
  onEvent(event: CoppiceEvent | null, raw: unknown, progress: RunProgress): void;
  onProgress(progress: RunProgress): void;
};

export type Followed = { kind: 'over' | 'person-awaited'; run: RunView; tasks: TaskView[] } | { kind: 'detached' };

const checkIntervalMs = 3_000;
/** How long nothing may move before "everything waits for a person" counts: a task passes `ready` on its way to landing. */
const settleMs = 1_200;
const lastEventMsMax = 2_000;
const failuresMax = 3;
const answerMsMax = 3_000;
const questionsAtOnce = 16;

/** @throws CliError when the stack ends or no longer answers. */
export async function followRun(client: StackClient, options: FollowOptions): Promise<Followed> {
  const follower = new Follower(client, options, await client.bus.call(api.runGet, client, { runId: options.runId }));
  return follower.run();
}

class Follower {
  readonly #client: StackClient;
  readonly #options: FollowOptions;
  readonly #ending = new AbortController();
  #progress: RunProgress;
  #lastChange = performance.now();
  #wake = Promise.withResolvers<void>();
  readonly #lastEvent = Promise.withResolvers<void>();

  constructor(client: StackClient, options: FollowOptions, view: RunView) {
    this.#client = client;
    this.#options = options;
    this.#progress = progressFrom(view);
  }

  async run(): Promise<Followed> {
    const { signal, runId } = this.#options;
    const ending = this.#ending.signal;
    try {
      this.#options.onProgress(this.#progress);
      // Whatever the connection does meanwhile, the caller can leave, and hears of the stack's end.
      return await Promise.race([
        aborted(signal, ending).then((): Followed => ({ kind: 'detached' })),
        untilStackEnds(this.#client, ending, watchingAgain(runId)),
        this.#readEvents().then(() => new Promise<never>(() => {})),
        this.#watchForEnd(),
      ]);
    } finally {
      this.#ending.abort();
      this.#wake.resolve();
    }
  }

  async #readEvents(): Promise<void> {
    const { bus, tenant } = this.#client;
    const { runId, taskId } = this.#options;
    const wanted = subjects.event(tenant, runId, taskId ?? '*', '*');
    for await (const message of bus.read(streams.events, wanted, { live: true, signal: this.#ending.signal })) {
      const raw = message.json();
      const event = coppiceEventSchema.safeParse(raw);
      if (event.success) this.#progress = withEvent(this.#progress, event.data);
      this.#options.onEvent(event.success ? event.data : null, raw, this.#progress);
      this.#options.onProgress(this.#progress);
      this.#lastChange = performance.now();
      if (event.success && isLast(event.data, taskId)) this.#lastEvent.resolve();
      this.#wake.resolve();
    }
  }

  async #watchForEnd(): Promise<Followed> {
    let failures = 0;
    while (!this.#ending.signal.aborted) {
      if (this.#looksOver() || this.#dueForCheck()) {
        try {
          const answer = await this.#ask();
          if (answer !== null) return answer;
          failures = 0;
        } catch (error) {
          if (!(error instanceof CoppiceError && error.retryable)) throw error;
          if (++failures >= failuresMax) throw stackLost(error, watchingAgain(this.#options.runId));
        }
      }
      await this.#pause();
    }
    return { kind: 'detached' };
  }

  async #untilLastEvent(): Promise<void> {
    await this.#orAfter(lastEventMsMax, this.#lastEvent.promise);
  }

  #looksOver(): boolean {
    const { state, tasks } = this.#progress;
    const task = tasks.find(({ taskId }) => taskId === this.#options.taskId);
    return task === undefined ? state !== 'running' : isEnd(task.state);
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

  /** Until something moves, or it is time to look. */
  async #pause(): Promise<void> {
    const waitMs = this.#seemsToWait() ? settleMs : checkIntervalMs;
    await this.#orAfter(waitMs, this.#wake.promise);
    this.#wake = Promise.withResolvers();
  }

  /** Until it happens, the time has passed, or the following ends. */
  async #orAfter(milliseconds: number, happened: Promise<void>): Promise<void> {
    const timer = new AbortController();
    const stopped = AbortSignal.any([timer.signal, this.#ending.signal]);
    await Promise.race([happened, pause(milliseconds, stopped)]);
    timer.abort();
  }

  async #ask(): Promise<Followed | null> {
    const { bus } = this.#client;
    const { runId } = this.#options;
    this.#checkedAt = performance.now();
    const run = await bus.call(api.runGet, this.#client, { runId }, { deadlineMs: answerMsMax });
    this.#progress = withView(this.#progress, run);
    this.#options.onProgress(this.#progress);
    const over =
      this.#options.taskId === undefined
        ? run.state !== 'running'
        : this.#watched(run.tasks).every(({ state }) => isEnd(state));
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

const isLast = (event: CoppiceEvent, taskId: string | undefined): boolean =>
  taskId === undefined
    ? event.type === 'coppice.run-ended'
    : event.type === 'coppice.task-ended' && event.data.taskId === taskId;

/** Each by itself: all of a large run with their logs would not fit one message. */
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

/** Null for a task that has not begun. */
async function taskOrNull(client: ApiClient, taskId: string): Promise<TaskView | null> {
  try {
    return await client.bus.call(api.taskGet, client, { taskId });
  } catch (error) {
    if (error instanceof CoppiceError && error.code === 'not-found') return null;
    throw error;
  }
}

/** Resolves when `signal` is aborted; lets go of it when `until` is. */
function aborted(signal: AbortSignal, until: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true, signal: until });
  });
}

const watchingAgain = (runId: string) => ({ kept: `run ${runId} is`, command: `coppice watch ${runId}` });
