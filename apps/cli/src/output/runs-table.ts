/** The live table of all runs, in lines that fit the terminal's current size. Pure. */
import type { RunState, RunSummary } from '@coppice/contracts';
import type { Colours } from './colours.ts';
import { countsText, shownRunState } from './states.ts';
import { clockText, plainLine } from './text.ts';
import { padEnd, truncate } from './width.ts';

const looks: Record<RunState | 'to finish', { symbol: string; colour: keyof Colours }> = {
  running: { symbol: '●', colour: 'cyan' },
  succeeded: { symbol: '✔', colour: 'green' },
  'to finish': { symbol: '!', colour: 'yellow' },
  failed: { symbol: '✘', colour: 'red' },
  cancelled: { symbol: '-', colour: 'dim' },
};
const stateColumns = Math.max(...Object.keys(looks).map((state) => state.length));
const clockColumns = 8;
const linesAround = 3;

type Options = { columns: number; rows: number; colours: Colours; now: number };

/** @param latest latest event line of each run, by run id */
export function runsTable(
  runs: readonly RunSummary[],
  latest: ReadonlyMap<string, string>,
  { columns, rows, colours, now }: Options,
): string[] {
  // Running runs come first. The sort keeps the newest run first among equals.
  const ordered = runs.toSorted((a, b) => Number(b.state === 'running') - Number(a.state === 'running'));
  const room = Math.max(1, rows - linesAround);
  const shown = ordered.slice(0, room);
  const running = runs.filter(({ state }) => state === 'running').length;
  const lines = [colours.bold(truncate(`${running} running, ${runs.length} in all; Ctrl-C ends this`, columns - 1))];
  for (const run of shown) lines.push(row(run, latest.get(run.runId), { columns, colours, now }));
  const hidden = ordered.length - shown.length;
  if (hidden > 0) lines.push(colours.dim(truncate(`  … and ${hidden} more (coppice ls)`, columns - 1)));
  return lines;
}

function row(run: RunSummary, latest: string | undefined, options: Omit<Options, 'rows'>): string {
  const { columns, colours, now } = options;
  const shown = shownRunState(run.state, run.taskCounts['landed-pending'] ?? 0);
  const { symbol, colour } = looks[shown];
  const end = run.endedAt === null ? now : Date.parse(run.endedAt);
  const clock = clockText(end - Date.parse(run.createdAt)).padStart(clockColumns);
  const left = `${symbol} ${run.runId} ${padEnd(shown, stateColumns)} ${clock}`;
  const detail = latest === undefined || run.state !== 'running' ? `${run.repository} ${run.baseBranch}` : latest;
  if (columns <= left.length + 2) return colours[colour](truncate(left, columns - 1));
  const right = truncate(plainLine(`${countsText(run.taskCounts)}  ${detail}`), columns - 3 - left.length);
  return right === '' ? colours[colour](left) : `${colours[colour](left)}  ${right}`;
}
