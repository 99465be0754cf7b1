/**
 * `coppice logs ID`: what a task's agent says and does, with what its commands print.
 *
 * Collaborators: the transcript, log and event streams; followRun, which knows when the task is over.
 *
 * Invariants:
 * 1. What is stored is shown in order of time; what comes then, as it comes. Nothing is shown twice.
 * 2. Following ends with the task, after what is still on its way has come: when nothing came for `quietMs`, at most `lateMsMax` later.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { coppiceEventSchema, logChunkSchema, streams, subjects } from '@coppice/contracts';
import type { StackClient } from '../api-client.ts';
import { exitCodes } from '../exit-codes.ts';
import { followRun } from '../follow.ts';
import type { Followed } from '../follow.ts';
import { resolveTask } from '../ids.ts';
import type { TaskTarget } from '../ids.ts';
import { itemOfChunk, itemOfEvent, itemsOfTurn, mergeByTime } from '../log-items.ts';
import type { LogItem } from '../log-items.ts';
import { LogLines } from '../output/log-lines.ts';
import { exitCodeOf, taskReport } from '../output/report.ts';
import { jsonLine } from '../output/text.ts';
import { Texts, turnsOf } from '../transcript.ts';
import type { TurnOptions } from '../transcript.ts';
import { withClient } from './session.ts';
import type { CommandResult, Session } from './session.ts';

const quietMs = 300;
const lateMsMax = 3_000;

export function logsCommand(session: Session, id: string, options: { follow: boolean; json: boolean }): CommandResult {
  return withClient(session, async (client) => showLogs(session, client, await resolveTask(client, id), options));
}

async function showLogs(
  session: Session,
  client: StackClient,
  target: TaskTarget,
  options: { follow: boolean; json: boolean },
): CommandResult {
  const log = new TaskLog(client, target);
  const show = printer(session, options.json);
  for await (const item of log.stored()) show.item(item);
  const followed = options.follow ? await log.follow(session.interrupted, (item) => show.item(item)) : null;
  show.end();
  if (followed === null) return exitCodes.done;
  if (followed.kind === 'detached') {
    session.terminal.err(
      `Detached; ${target.name} goes on. To see it again: coppice logs ${target.runId}/${target.name} -f`,
    );
    return exitCodes.detached;
  }
  if (!options.json) {
    for (const task of followed.tasks)
      for (const line of taskReport(task, task.name.length, session.terminal.colours)) session.terminal.out(line);
  }
  return exitCodeOf(followed.tasks);
}

function printer({ terminal }: Session, json: boolean): { item(item: LogItem): void; end(): void } {
  if (json) return { item: (item) => terminal.out(jsonLine(item)), end: () => {} };
  const lines = new LogLines(terminal.colours);
  const print = (text: readonly string[]) => {
    for (const line of text) terminal.out(line);
  };
  return { item: (item) => print(lines.add(item)), end: () => print(lines.end()) };
}

class TaskLog {
  readonly #client: StackClient;
  readonly #target: TaskTarget;
  readonly #texts: Texts;
  /** The last of each that was shown. */
  #turn = 0;
  #chunk = 0;
  #event = 0;

  constructor(client: StackClient, target: TaskTarget) {
    this.#client = client;
    this.#target = target;
    this.#texts = new Texts(client);
  }

  /** Everything that is stored now, in order of time. */
  stored(): AsyncIterable<LogItem> {
    return mergeByTime([this.#turns({}), this.#chunks({}), this.#states()]);
  }

  /** Shows what comes, until the task is over, waits for a person, or the signal. */
  async follow(signal: AbortSignal, show: (item: LogItem) => void): Promise<Followed> {
    const ending = new AbortController();
    let shownAt = performance.now();
    const showAll = async (items: AsyncIterable<LogItem>) => {
      for await (const item of items) {
        shownAt = performance.now();
        show(item);
      }
    };
    const live = (after: number) => ({ startSequence: after + 1, live: true, signal: ending.signal });
    const reading = Promise.all([showAll(this.#turns(live(this.#turn))), showAll(this.#chunks(live(this.#chunk)))]);
    const failed = reading.then(() => new Promise<never>(() => {}));
    try {
      const followed = await Promise.race([this.#untilOver(signal, show), failed]);
      const end = performance.now() + (followed.kind === 'detached' ? 0 : lateMsMax);
      shownAt = performance.now();
      while (performance.now() < Math.min(end, shownAt + quietMs)) await sleep(quietMs / 6);
      return followed;
    } finally {
      ending.abort();
    }
  }

  #untilOver(signal: AbortSignal, show: (item: LogItem) => void): Promise<Followed> {
    const { runId, taskId } = this.#target;
    return followRun(this.#client, {
      runId,
      taskId,
      signal,
      onProgress: () => {},
      onEvent: (event) => {
        // An actor counts its events, so that those that were shown are known.
        if (event === null || Number(event.sequence) <= this.#event) return;
        this.#event = Number(event.sequence);
        const item = itemOfEvent(event);
        if (item !== null) show(item);
      },
    });
  }

  async *#turns(options: TurnOptions): AsyncIterable<LogItem> {
    for await (const { entry, sequence } of turnsOf(this.#client, this.#target.taskId, options)) {
      this.#turn = sequence;
      yield* await itemsOfTurn(entry, this.#texts);
    }
  }

  async *#chunks(options: TurnOptions): AsyncIterable<LogItem> {
    const { bus, tenant } = this.#client;
    const subject = subjects.log(tenant, this.#target.taskId);
    for await (const message of bus.read(streams.logs, subject, options)) {
      this.#chunk = message.sequence;
      const chunk = logChunkSchema.safeParse(message.json());
      if (chunk.success) yield itemOfChunk(chunk.data);
    }
  }

  async *#states(): AsyncIterable<LogItem> {
    const { bus, tenant } = this.#client;
    const { runId, taskId } = this.#target;
    for await (const message of bus.read(streams.events, subjects.event(tenant, runId, taskId, '*'))) {
      const event = coppiceEventSchema.safeParse(message.json());
      if (!event.success) continue;
      this.#event = Number(event.data.sequence);
      const item = itemOfEvent(event.data);
      if (item !== null) yield item;
    }
  }
}
