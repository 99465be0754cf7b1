/** The live table of a run, in lines that fit the terminal's current size. Pure. */
import { isTaskEnd } from '@coppice/contracts';
import type { RunProgress, TaskProgress } from '../progress.ts';
import type { Colours } from './colours.ts';
import { lookOf, stateColumns, stateText } from './states.ts';
import { clockText, plainLine } from './text.ts';
import { padEnd, truncate } from './width.ts';

const nameColumnsMax = 28;
const clockColumns = 7;
/** On a narrower terminal, only symbol, name and state are shown. */
const narrowColumns = 60;
const linesAround = 2;

export function runTable(
  progress: RunProgress,
  options: { columns: number; rows: number; colours: Colours; now: number },
): string[] {
  const { columns, rows, colours, now } = options;
  const shown = choose(progress.tasks, Math.max(1, rows - linesAround - 1));
  const nameColumns = Math.min(nameColumnsMax, Math.max(...progress.tasks.map((task) => task.name.length)));
  const lines = [heading(progress, columns, colours, now)];
  for (const task of shown) lines.push(row(task, { columns, nameColumns, colours, now }));
  const hidden = progress.tasks.length - shown.length;
  if (hidden > 0) lines.push(colours.dim(truncate(`  … and ${hidden} more`, columns - 1)));
  return lines;
}

/**
 * Chooses the tasks to show if not all fit. Active tasks have precedence over waiting ones, and waiting tasks over
 * ended ones. The result is in the run file's order.
 */
function choose(tasks: readonly TaskProgress[], count: number): readonly TaskProgress[] {
  if (tasks.length <= count) return tasks;
  const rank = ({ state }: TaskProgress) => (state === 'waiting' ? 1 : isTaskEnd(state) ? 2 : 0);
  const chosen = new Set(tasks.toSorted((a, b) => rank(a) - rank(b)).slice(0, count));
  return tasks.filter((task) => chosen.has(task));
}

function heading(progress: RunProgress, columns: number, colours: Colours, now: number): string {
  const counts = new Map<string, number>();
  for (const { state } of progress.tasks) counts.set(state, (counts.get(state) ?? 0) + 1);
  const summary = [...counts].map(([state, count]) => `${count} ${stateText(state)}`).join(', ');
  const time = clockText((progress.endedAt ?? now) - progress.createdAt);
  return colours.bold(truncate(`run ${progress.runId}  ${time}  ${summary}`, columns - 1));
}

function row(
  task: TaskProgress,
  options: { columns: number; nameColumns: number; colours: Colours; now: number },
): string {
  const { columns, nameColumns, colours, now } = options;
  const { symbol, paint } = lookOf(task.state);
  const name = padEnd(truncate(task.name, nameColumns), nameColumns);
  const narrow = columns < narrowColumns;
  const state = truncate(stateText(task.state), stateColumns);
  const left = `${symbol} ${name} ${narrow ? state : padEnd(state, stateColumns)}`;
  if (narrow) return paint(colours, truncate(left, columns - 1));
  const elapsed = task.startedAt === null ? '' : clockText((task.endedAt ?? now) - task.startedAt);
  const clock = ` ${elapsed.padStart(clockColumns)}  `;
  const room = columns - 1 - left.length - clock.length;
  const detail = truncate(plainLine(task.landedCommit?.slice(0, 10) ?? task.reason ?? task.doing ?? ''), room);
  // Trailing spaces are removed, since terminals differ in how they wrap them when the window gets narrower.
  const right = `${clock}${colours.dim(detail)}`.trimEnd();
  return right === '' ? paint(colours, left.trimEnd()) : `${paint(colours, left)}${right}`;
}
