/**
 * `coppice logs ID`: shows the turns of a task's agent, and the output of its commands.
 *
 * Collaborators: the streams of transcripts, logs and events; followRun, which detects the end of the task.
 *
 * Invariants:
 * 1. Stored items are shown in order of time. New items are shown when they arrive. No item is shown twice.
 * 2. After the end of the task, following continues until no item arrives for `quietMs`, but at most for `lateMsMax`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { coppiceEventSchema, logChunkSchema, streams, subjects } from '@coppice/contracts';
import type { StackClient } from '../api-client.ts';
import { followWaitMsMax } from '../ask.ts';
import { exitCodes } from '../exit-codes.ts';
import { followRun } from '../follow.ts';
import type { Followed } from '../follow.ts';
import { resolveTask } from '../ids.ts';
import type { TaskTarget } from '../ids.ts';
import { itemOfChunk, itemOfEvent, itemsOfTurn, lostOutput, mergeByTime } from '../log-items.ts';
import type { LogItem } from '../log-items.ts';
import { LogLines } from '../output/log-lines.ts';
import { Tail } from '../output/tail.ts';
import { exitCodeOf, taskReport } from '../output/report.ts';
import { jsonLine } from '../output/text.ts';
import { Texts, turnsOf } from '../transcript.ts';
import type { TurnOptions } from '../transcript.ts';
import { withClient } from './session.ts';
import type { CommandResult, Session } from './session.ts';

const quietMs = 300;
const lateMsMax = 3_000;

/** `tail`: number of stored lines to show, counted from the end; null for all. `full`: no text is truncated. */
export type LogsOptions = { follow: boolean; json: boolean; full: boolean; tail: number | null };

export function logsCommand(session: Session, id: string, options: LogsOptions): CommandResult {
  const work = async (client: StackClient) => showLogs(session, client, await resolveTask(client, id), options);
  return withClient(session, work, options.follow ? { waitMsMax: followWaitMsMax } : {});
}

async function showLogs(
  session: Session,
  client: StackClient,
  target: TaskTarget,
  options: LogsOptions,
): CommandResult {
  const log = new TaskLog(client, target, options.full);
  const print = new Printer(session, options);
  for await (const item of log.stored()) print.item(item);
  if (!options.follow) print.end();
  print.release();
  const followed = options.follow ? await log.follow(session.interrupted, (item) => print.item(item)) : null;
  print.end();
  if (log.lost !== null) session.terminal.err(log.lost);
  if (print.leftOut)
    session.terminal.err(`Long texts are shown in part: coppice logs ${target.runId}/${target.name} --full`);
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

/** Prints items. With `--tail`, only the last stored lines are kept until `release` prints them. */
class Printer {
  readonly #session: Session;
  readonly #json: boolean;
  readonly #lines: LogLines;
  #tail: Tail | null;

  constructor(session: Session, { json, full, tail }: LogsOptions) {
    this.#session = session;
    this.#json = json;
    this.#lines = new LogLines(session.terminal.colours, full);
    this.#tail = tail === null ? null : new Tail(tail);
  }

  get leftOut(): boolean {
    return this.#lines.leftOut;
  }

  item(item: LogItem): void {
    this.#print(this.#json ? [jsonLine(item)] : this.#lines.add(item));
  }

  end(): void {
    this.#print(this.#lines.end());
  }

  /** Prints the kept lines. After this call, items are printed at once. */
  release(): void {
    const held = this.#tail;
    this.#tail = null;
    if (held === null) return;
    const { lines, earlier } = held.end();
    if (earlier > 0) this.#session.terminal.err(`… ${earlier} earlier lines; without --tail all are shown`);
    this.#print(lines);
  }

  #print(lines: readonly string[]): void {
    if (this.#tail !== null) this.#tail.add(lines);
    else for (const line of lines) this.#session.terminal.out(line);
  }
}

class TaskLog {
  readonly #client: StackClient;
  readonly #target: TaskTarget;
  readonly #texts: Texts;
  readonly #full: boolean;
  #lost: string | null = null;
  /** Sequence number of the last shown turn. The next two fields are the same for chunks and events. */
  #turn = 0;
  #chunk = 0;
  #event = 0;

  constructor(client: StackClient, target: TaskTarget, full: boolean) {
    this.#client = client;
    this.#target = target;
    this.#texts = new Texts(client);
    this.#full = full;
  }

  /** Text that says why output may be missing; null if none is missing. Set when `stored` has yielded its last item. */
  get lost(): string | null {
    return this.#lost;
  }

  /** Yields all stored items, in order of time. */
  async *stored(): AsyncIterable<LogItem> {
    let pieces = 0;
    let firstAt: string | null = null;
    for await (const item of mergeByTime([this.#turns({}), this.#chunks({}), this.#states()])) {
      firstAt ??= item.time;
      if (item.kind === 'output') pieces++;
      yield item;
    }
    this.#lost = lostOutput(pieces, firstAt, Date.now());
  }

  /** Shows new items until the task ends or needs the user's decision, or the signal is aborted. */
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
        // A task numbers its events in ascending order, so an event with a lower number was already shown.
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
      yield* await itemsOfTurn(entry, this.#texts, this.#full);
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
