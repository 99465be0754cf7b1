/** The report and the exit code for a run that has ended or waits for the user. Pure. */
import { mergeConflictSchema, type RunView, type TaskView, isTaskEnd, taskStateRegistry } from '@coppice/contracts';
import { exitCodes } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';
import type { Colours } from './colours.ts';
import { lookOf, stateColumns, stateText } from './states.ts';
import { clockText, plainLine, plainText, usageText } from './text.ts';
import { padEnd } from './width.ts';

const logTailLinesMax = 20;
const shortCommit = (commit: string) => commit.slice(0, 10);
const outcomeOf = ({ state }: TaskView) => taskStateRegistry.outcomeOf(state);
/** True if a task has ended. `endedAt` is for states that this version doesn't know. */
const isOver = ({ state, endedAt }: TaskView) => isTaskEnd(state) || endedAt !== null;
const landed = (task: TaskView) => outcomeOf(task) === 'done';
const pending = (task: TaskView) => outcomeOf(task) === 'to-finish';
const gone = (task: TaskView) => ['failed', 'given-up'].includes(outcomeOf(task) ?? '');

/**
 * Returns the exit code for a run's tasks. An unfinished task takes precedence over a failed one, since the run hasn't
 * ended. A task in an unknown state counts as unfinished.
 */
export function exitCodeOf(tasks: readonly TaskView[]): ExitCode {
  if (tasks.some((task) => !isTaskEnd(task.state))) return exitCodes.personAwaited;
  if (tasks.some(gone)) return exitCodes.taskFailed;
  return tasks.some(pending) ? exitCodes.personAwaited : exitCodes.done;
}

export function runReport(run: RunView, tasks: readonly TaskView[], colours: Colours): string[] {
  const done = tasks.filter(landed).length;
  const time = run.endedAt === null ? '' : ` in ${clockText(Date.parse(run.endedAt) - Date.parse(run.createdAt))}`;
  const used = run.usage === undefined || run.usage.inputTokens === 0 ? '' : `; ${usageText(run.usage)}`;
  const open = tasks.filter((task) => !isOver(task)).length;
  const toFinish = tasks.filter(pending).length;
  const waiting =
    (open === 0 ? '' : `, ${open} not over yet`) +
    (toFinish === 0 ? '' : `, ${toFinish} done and kept for you to finish ${toFinish === 1 ? 'its' : 'their'} landing`);
  const lines = [colours.bold(`run ${run.runId}: ${done} of ${tasks.length} tasks done${time}${waiting}${used}`), ''];
  const nameColumns = Math.max(...tasks.map((task) => task.name.length));
  for (const task of tasks) lines.push(...taskReport(task, nameColumns, colours));
  return lines;
}

export function taskReport(task: TaskView, nameColumns: number, colours: Colours): string[] {
  const { symbol, paint } = lookOf(task.state);
  const left = `${symbol} ${padEnd(task.name, nameColumns)}  ${padEnd(stateText(task.state), stateColumns)}`;
  const lines = [`${paint(colours, left)}  ${plainLine(detailOf(task))}`.trimEnd()];
  for (const { label, command } of nextSteps(task)) lines.push(`    ${label}: ${colours.bold(plainLine(command))}`);
  lines.push(...landedMeanwhile(task).map((line) => `    ${line}`));
  if (gone(task) && task.rescue !== null) lines.push(...kept(task, task.rescue, colours));
  if (gone(task) && task.logTail !== null)
    lines.push(...logTail(task.logTail, colours), ...wholeLog(task, task.logTail, colours));
  return lines;
}

/**
 * Returns a line for each recent commit on the target branch that changed a conflicting file. Returns no lines if the
 * task has no merge conflict.
 */
export function landedMeanwhile({ failure }: TaskView): string[] {
  if (failure?.code !== 'merge-conflict') return [];
  const conflict = mergeConflictSchema.safeParse(failure.details);
  if (!conflict.success) return [];
  const { branch, landed: changes } = conflict.data;
  return changes.flatMap(({ path, commits }) =>
    commits.map(({ commit, subject, taskId }) => {
      const by = taskId === null ? '' : ` (task ${taskId})`;
      return plainLine(`${path} was changed on ${branch} by ${shortCommit(commit)} ${subject}${by}`);
    }),
  );
}

function kept(task: TaskView, rescue: string, colours: Colours): string[] {
  const lines = [`    what it did is kept: ${plainLine(rescue)}`];
  const command = pullCommand(task);
  return command === null ? lines : [...lines, `    as a branch: ${colours.bold(command)}`];
}

/**
 * Returns the command that makes a branch of a task's rescued work. Returns null if nothing was rescued, or only a
 * folder.
 */
export function pullCommand({ runId, name, rescue, state }: TaskView): string | null {
  // `rescue` is `<git directory> <ref>`, or a folder if the work could not be committed.
  return isTaskEnd(state) && rescue?.includes(' refs/') === true ? `coppice pull ${runId}/${plainLine(name)}` : null;
}

/** Returns a line with the command that shows the whole log. Returns no line if `tail` is the whole log. */
function wholeLog({ runId, name, logArtifact }: TaskView, tail: string, colours: Colours): string[] {
  if (logArtifact === null && tail.trimEnd().split('\n').length <= logTailLinesMax) return [];
  const command = logArtifact === null ? `coppice logs ${runId}/${name}` : `coppice artifact ${logArtifact}`;
  return [`    whole log: ${colours.bold(plainLine(command))}`];
}

function detailOf(task: TaskView): string {
  const commit = task.landedCommit ?? (task.state === 'branch-pushed' ? task.commit : null);
  const parts = [commit === null ? null : shortCommit(commit)];
  if (task.state === 'branch-pushed') parts.push(task.branch);
  parts.push(task.reason ?? (landed(task) ? task.description : null));
  return parts.filter((part) => part !== null).join('  ');
}

export function nextSteps(task: TaskView): { label: string; command: string }[] {
  const name = `${task.runId}/${task.name}`;
  switch (task.state) {
    case 'awaiting-approval':
      return [
        { label: 'look', command: `coppice diff ${name}` },
        { label: 'then', command: `coppice approve ${name}` },
        { label: 'or', command: `coppice reject ${name}` },
      ];
    case 'ready':
      return [
        { label: 'look', command: `coppice diff ${name}` },
        { label: 'then', command: `coppice merge ${name}` },
        { label: 'or', command: `coppice discard ${name}` },
      ];
    case 'landed-pending':
      return task.finishCommand === null ? [] : [{ label: 'to finish', command: task.finishCommand }];
    default:
      return [];
  }
}

export function logTail(text: string, colours: Colours): string[] {
  const lines = plainText(text).trimEnd().split('\n');
  const shown = lines.slice(-logTailLinesMax);
  const more = lines.length > shown.length ? [colours.dim('    | …')] : [];
  return [...more, ...shown.map((line) => colours.dim(`    | ${line}`))];
}
