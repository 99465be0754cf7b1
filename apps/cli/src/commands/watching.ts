/**
 * Shows a run live, and then a report of the result. The live output is a table on a terminal, lines in a pipe or file,
 * and JSON lines with `--json`.
 */
import type { StackClient } from '../api-client.ts';
import { waitingLines, waitingText } from '../ask.ts';
import type { OnWaiting, Waiting } from '../ask.ts';
import { exitCodes } from '../exit-codes.ts';
import { followRun } from '../follow.ts';
import type { Followed } from '../follow.ts';
import { eventLine } from '../output/event-line.ts';
import { liveArea } from '../output/live-area.ts';
import { exitCodeOf, runReport, taskReport } from '../output/report.ts';
import { runTable } from '../output/run-table.ts';
import { jsonLine } from '../output/text.ts';
import { truncate } from '../output/width.ts';
import type { RunProgress } from '../progress.ts';
import type { CommandResult, Session } from './session.ts';

export type WatchOptions = { runId: string; taskId?: string | undefined; json: boolean; waitMsMax?: number };

const redrawMs = 120;

export async function watchToTheEnd(session: Session, client: StackClient, options: WatchOptions): CommandResult {
  const { terminal } = session;
  const view = options.json
    ? jsonView(session)
    : terminal.interactive
      ? tableView(session, options)
      : lineView(session);
  let followed: Followed;
  try {
    followed = await followRun(client, {
      runId: options.runId,
      taskId: options.taskId,
      signal: session.interrupted,
      onEvent: view.onEvent,
      onProgress: view.onProgress,
      onWaiting: view.onWaiting,
      waitMsMax: options.waitMsMax,
    });
  } finally {
    view.end();
  }
  if (followed.kind === 'detached') {
    terminal.err(`Detached; run ${options.runId} goes on. To see it again: coppice watch ${options.runId}`);
    terminal.err(`To stop it: coppice cancel ${options.runId}`);
    return exitCodes.detached;
  }
  if (!options.json) for (const line of reportOf(session, followed, options)) terminal.out(line);
  return exitCodeOf(followed.tasks);
}

type View = Pick<Parameters<typeof followRun>[1], 'onEvent' | 'onProgress'> & { onWaiting: OnWaiting; end(): void };

const jsonView = ({ terminal }: Session): View => ({
  onEvent: (_event, raw) => terminal.out(jsonLine(raw)),
  onProgress: () => {},
  onWaiting: waitingLines((line) => terminal.err(line)),
  end: () => {},
});

const lineView = ({ terminal }: Session): View => ({
  onEvent: (event) => {
    const line = event === null ? null : eventLine(event);
    if (line !== null) terminal.out(line);
  },
  onProgress: () => {},
  onWaiting: waitingLines((line) => terminal.err(line)),
  end: () => {},
});

function tableView({ terminal }: Session, options: WatchOptions): View {
  const area = liveArea(terminal.write, terminal.size);
  let progress: RunProgress | null = null;
  let waiting: Waiting | null = null;
  const draw = () => {
    if (progress === null) return;
    const watched = progress.tasks.filter(({ taskId }) => options.taskId === undefined || taskId === options.taskId);
    const { columns, rows } = terminal.size();
    const room = { columns, rows: rows - (waiting === null ? 0 : 1) };
    const lines = runTable({ ...progress, tasks: watched }, { ...room, colours: terminal.colours, now: Date.now() });
    if (waiting !== null) lines.push(terminal.colours.yellow(truncate(waitingText(waiting), columns - 1)));
    area.draw(lines);
  };
  const timer = setInterval(draw, redrawMs);
  const resize = terminal.onResize(draw);
  return {
    onEvent: () => {},
    onProgress: (next) => (progress = next),
    onWaiting: (next) => (waiting = next),
    end: () => {
      clearInterval(timer);
      resize.remove();
      // The report that follows contains all that the table showed.
      area.clear();
    },
  };
}

function reportOf(
  { terminal }: Session,
  followed: Exclude<Followed, { kind: 'detached' }>,
  options: WatchOptions,
): string[] {
  const { run, tasks } = followed;
  if (options.taskId === undefined) return ['', ...runReport(run, tasks, terminal.colours)];
  return ['', ...tasks.flatMap((task) => taskReport(task, task.name.length, terminal.colours))];
}
