/**
 * Shows all runs of a tenant live, until Ctrl-C.
 *
 * Collaborators: the stream of events, read from now on; run.list, which returns the authoritative state.
 *
 * Invariants:
 * 1. The next list is requested when an event has arrived since the last list, but at least `askIntervalMsMin` after
 *    that list. If no event arrives, the request is sent another `askIntervalMsMax` later.
 * 2. Watching ends at once when the stack ends. If the stack doesn't answer for `waitMsMax`, watching fails.
 */
import { CoppiceError, api, subjects } from '@coppice/contracts';
import type { CoppiceEvent, RunSummary } from '@coppice/contracts';
import type { ApiClient, StackClient } from '../api-client.ts';
import { ask, followWaitMsMax, waitingLines, waitingText } from '../ask.ts';
import type { OnWaiting, Waiting } from '../ask.ts';
import { exitCodes } from '../exit-codes.ts';
import { eventLine, runOf } from '../output/event-line.ts';
import { liveArea } from '../output/live-area.ts';
import { runsTable } from '../output/runs-table.ts';
import { LiveEvents } from '../live-events.ts';
import { jsonLine } from '../output/text.ts';
import { truncate } from '../output/width.ts';
import { pause } from '../pause.ts';
import { noAnswer, untilStackEnds } from '../stack-lost.ts';
import type { CommandResult, Session } from './session.ts';

const redrawMs = 200;
const askIntervalMsMin = 500;
const askIntervalMsMax = 3_000;
const runsMax = 100;

export async function watchAll(
  session: Session,
  client: StackClient,
  options: { json: boolean; waitMsMax?: number },
): CommandResult {
  const ending = new AbortController();
  const stop = () => ending.abort();
  session.interrupted.addEventListener('abort', stop, { once: true });
  if (session.interrupted.aborted) stop();
  const view = options.json ? jsonView(session) : session.terminal.interactive ? tableView(session) : lineView(session);
  try {
    await Promise.race([
      untilStackEnds(client, ending.signal, goingOn),
      keepShowing(
        {
          ...client,
          waitMsMax: options.waitMsMax ?? followWaitMsMax,
          onWaiting: view.onWaiting,
          stackEnded: undefined,
        },
        ending.signal,
        view,
      ),
      new Promise<void>((resolve) => ending.signal.addEventListener('abort', () => resolve(), { once: true })),
    ]);
  } finally {
    session.interrupted.removeEventListener('abort', stop);
    stop();
    view.end();
  }
  session.terminal.err('Detached; runs go on. To see them again: coppice watch');
  return exitCodes.detached;
}

/** @throws CliError if the stack doesn't answer for `waitMsMax` */
async function keepShowing(client: ApiClient, signal: AbortSignal, view: View): Promise<void> {
  let happened = Promise.withResolvers<void>();
  const events = new LiveEvents(client, subjects.event(client.tenant, '*', '*', '*'), (event, raw) => {
    view.onEvent(event, raw);
    happened.resolve();
  });
  const failed = events.follow(signal, true).then(() => new Promise<never>(() => {}));
  while (!signal.aborted) {
    try {
      view.onRuns(await Promise.race([listRuns(client, signal), failed]));
    } catch (error) {
      if (signal.aborted && error instanceof CoppiceError && error.code === 'cancelled') return;
      throw noAnswer(error, goingOn);
    }
    await pause(askIntervalMsMin, signal);
    await Promise.race([happened.promise, pause(askIntervalMsMax, signal), failed]);
    happened = Promise.withResolvers();
  }
}

async function listRuns(client: ApiClient, signal: AbortSignal): Promise<RunSummary[]> {
  const { runs } = await ask(client, api.runList, { limit: runsMax }, { signal });
  return runs;
}

type View = {
  onEvent(event: CoppiceEvent | null, raw: unknown): void;
  onRuns(runs: readonly RunSummary[]): void;
  onWaiting: OnWaiting;
  end(): void;
};

const jsonView = ({ terminal }: Session): View => ({
  onEvent: (_event, raw) => terminal.out(jsonLine(raw)),
  onRuns: () => {},
  onWaiting: waitingLines((line) => terminal.err(line)),
  end: () => {},
});

function lineView({ terminal }: Session): View {
  let isReported = false;
  return {
    onEvent: (event) => {
      const line = event === null ? null : eventLine(event);
      if (event !== null && line !== null) terminal.out(`${runOf(event)} ${line}`);
    },
    onWaiting: waitingLines((line) => terminal.err(line)),
    // Printed at the start, since no other output comes before the first event.
    onRuns: (runs) => {
      if (isReported) return;
      isReported = true;
      const running = runs.filter(({ state }) => state === 'running').length;
      terminal.err(`Watching all runs: ${running} running. Ctrl-C ends it`);
    },
    end: () => {},
  };
}

function tableView({ terminal }: Session): View {
  const area = liveArea(terminal.write, terminal.size);
  const latest = new Map<string, string>();
  let runs: readonly RunSummary[] | null = null;
  let waiting: Waiting | null = null;
  const draw = () => {
    if (runs === null) return;
    const { columns, rows } = terminal.size();
    const room = { columns, rows: rows - (waiting === null ? 0 : 1) };
    const lines = runsTable(runs, latest, { ...room, colours: terminal.colours, now: Date.now() });
    if (waiting !== null) lines.push(terminal.colours.yellow(truncate(waitingText(waiting), columns - 1)));
    area.draw(lines);
  };
  const timer = setInterval(draw, redrawMs);
  const resize = terminal.onResize(draw);
  return {
    onEvent: (event) => {
      const line = event === null ? null : eventLine(event);
      if (event !== null && line !== null) latest.set(runOf(event), line);
    },
    onWaiting: (next) => (waiting = next),
    onRuns: (next) => {
      runs = next;
      const known = new Set(next.map(({ runId }) => runId));
      for (const runId of latest.keys()) if (!known.has(runId)) latest.delete(runId);
    },
    end: () => {
      clearInterval(timer);
      resize.remove();
      // The last list stays on the screen.
      draw();
    },
  };
}

const goingOn = { kept: 'runs are', command: 'coppice watch' };
