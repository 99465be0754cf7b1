/**
 * Shows all runs of a tenant while they go on, until Ctrl-C.
 *
 * Collaborators: the events stream, from now on; run.list, which is the truth.
 *
 * Invariants:
 * 1. The list is asked for at most every `askIntervalMsMin`, when something happened, and at least every `askIntervalMsMax`.
 * 2. The end of the stack ends the watching at once; one that doesn't answer, after `failuresMax` questions in a row.
 */
import { CoppiceError, api, coppiceEventSchema, streams, subjects } from '@coppice/contracts';
import type { CoppiceEvent, RunSummary } from '@coppice/contracts';
import type { ApiClient, StackClient } from '../api-client.ts';
import { exitCodes } from '../exit-codes.ts';
import { eventLine, runOf } from '../output/event-line.ts';
import { liveArea } from '../output/live-area.ts';
import { runsTable } from '../output/runs-table.ts';
import { jsonLine } from '../output/text.ts';
import { pause } from '../pause.ts';
import { stackLost, untilStackEnds } from '../stack-lost.ts';
import type { CommandResult, Session } from './session.ts';

const redrawMs = 200;
const askIntervalMsMin = 500;
const askIntervalMsMax = 3_000;
const answerMsMax = 5_000;
const failuresMax = 3;
const runsMax = 100;

export async function watchAll(session: Session, client: StackClient, options: { json: boolean }): CommandResult {
  const ending = new AbortController();
  const stop = () => ending.abort();
  session.interrupted.addEventListener('abort', stop, { once: true });
  if (session.interrupted.aborted) stop();
  const view = options.json ? jsonView(session) : session.terminal.interactive ? tableView(session) : lineView(session);
  try {
    await Promise.race([
      untilStackEnds(client, ending.signal, goingOn),
      keepShowing(client, ending.signal, view),
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

/** Until the signal. @throws CliError when the stack no longer answers. */
async function keepShowing(client: ApiClient, signal: AbortSignal, view: View): Promise<void> {
  let happened = Promise.withResolvers<void>();
  const reading = readEvents(client, signal, (event, raw) => {
    view.onEvent(event, raw);
    happened.resolve();
  });
  const failed = reading.then(() => new Promise<never>(() => {}));
  for (let failures = 0; !signal.aborted;) {
    try {
      view.onRuns(await Promise.race([listRuns(client), failed]));
      failures = 0;
    } catch (error) {
      if (!(error instanceof CoppiceError && error.retryable)) throw error;
      if (++failures >= failuresMax) throw stackLost(error, goingOn);
    }
    await pause(askIntervalMsMin, signal);
    await Promise.race([happened.promise, pause(askIntervalMsMax, signal), failed]);
    happened = Promise.withResolvers();
  }
}

async function listRuns(client: ApiClient): Promise<RunSummary[]> {
  const { runs } = await client.bus.call(api.runList, client, { limit: runsMax }, { deadlineMs: answerMsMax });
  return runs;
}

async function readEvents(
  { bus, tenant }: ApiClient,
  signal: AbortSignal,
  onEvent: (event: CoppiceEvent | null, raw: unknown) => void,
): Promise<void> {
  const wanted = subjects.event(tenant, '*', '*', '*');
  for await (const message of bus.read(streams.events, wanted, { newOnly: true, live: true, signal })) {
    const raw = message.json();
    const event = coppiceEventSchema.safeParse(raw);
    onEvent(event.success ? event.data : null, raw);
  }
}

type View = {
  onEvent(event: CoppiceEvent | null, raw: unknown): void;
  onRuns(runs: readonly RunSummary[]): void;
  end(): void;
};

const jsonView = ({ terminal }: Session): View => ({
  onEvent: (_event, raw) => terminal.out(jsonLine(raw)),
  onRuns: () => {},
  end: () => {},
});

function lineView({ terminal }: Session): View {
  let told = false;
  return {
    onEvent: (event) => {
      const line = event === null ? null : eventLine(event);
      if (event !== null && line !== null) terminal.out(`${runOf(event)} ${line}`);
    },
    // Until something happens nothing else would be seen.
    onRuns: (runs) => {
      if (told) return;
      told = true;
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
  const draw = () => {
    if (runs === null) return;
    area.draw(runsTable(runs, latest, { ...terminal.size(), colours: terminal.colours, now: Date.now() }));
  };
  const timer = setInterval(draw, redrawMs);
  const resize = terminal.onResize(draw);
  return {
    onEvent: (event) => {
      const line = event === null ? null : eventLine(event);
      if (event !== null && line !== null) latest.set(runOf(event), line);
    },
    onRuns: (next) => {
      runs = next;
      const known = new Set(next.map(({ runId }) => runId));
      for (const runId of latest.keys()) if (!known.has(runId)) latest.delete(runId);
    },
    end: () => {
      clearInterval(timer);
      resize.remove();
      // What was seen last stays.
      draw();
    },
  };
}

const goingOn = { kept: 'runs are', command: 'coppice watch' };
