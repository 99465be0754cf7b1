import { api } from '@coppice/contracts';
import type { RunSummary, TaskView } from '@coppice/contracts';
import { ask } from '../ask.ts';
import { exitCodes } from '../exit-codes.ts';
import { tasksOf } from '../follow.ts';
import { resolveTarget } from '../ids.ts';
import { landedMeanwhile, logTail, nextSteps, pullCommand, runReport } from '../output/report.ts';
import { countsText, lookOf, shownRunState, stateText } from '../output/states.ts';
import { agoText, jsonLine, plainLine, unprotectedText, usageText } from '../output/text.ts';
import { padEnd } from '../output/width.ts';
import { withClient } from './session.ts';
import type { CommandResult, Session } from './session.ts';

/** `coppice ls`. */
export function listCommand(session: Session, options: { limit: number; json: boolean }): CommandResult {
  const { terminal } = session;
  return withClient(session, async (client) => {
    const { runs, more } = await ask(client, api.runList, { limit: options.limit });
    if (options.json) {
      for (const run of runs) terminal.out(jsonLine(run));
      return exitCodes.done;
    }
    if (runs.length === 0) terminal.err('There are no runs yet: coppice run FILE.yaml makes one.');
    for (const run of runs) terminal.out(runLine(run));
    if (more) terminal.err(`… and older ones; coppice ls --limit ${Math.min(500, options.limit * 5)} shows more`);
    return exitCodes.done;
  });
}

function runLine(run: RunSummary): string {
  const age = agoText(Date.now() - Date.parse(run.createdAt));
  return plainLine(
    `${run.runId}  ${padEnd(shownRunState(run.state, run.taskCounts['landed-pending'] ?? 0), 9)}  ${padEnd(age, 10)}  ${run.repository} ${run.baseBranch}  ${countsText(run.taskCounts)}`,
  );
}

/** `coppice show ID`. */
export function showCommand(session: Session, id: string, options: { json: boolean }): CommandResult {
  const { terminal } = session;
  return withClient(session, async (client) => {
    const target = await resolveTarget(client, id);
    if (target.kind === 'task') {
      const task = await ask(client, api.taskGet, { taskId: target.taskId });
      for (const line of options.json ? [jsonLine(task)] : taskLines(session, task)) terminal.out(line);
      return exitCodes.done;
    }
    const run = await ask(client, api.runGet, { runId: target.runId });
    if (options.json) {
      terminal.out(jsonLine(run));
      return exitCodes.done;
    }
    const tasks = await tasksOf(client, run.tasks);
    const state = shownRunState(run.state, tasks.filter((task) => task.state === 'landed-pending').length);
    terminal.out(plainLine(`${run.repository} ${run.baseBranch}: ${state}, submitted ${run.createdAt}`));
    for (const line of runReport(run, tasks, terminal.colours)) terminal.out(line);
    return exitCodes.done;
  });
}

function taskLines({ terminal }: Session, task: TaskView): string[] {
  const { colours } = terminal;
  const unknown =
    task.modelTurnsUnknown === 0 ? '' : `, and ${task.modelTurnsUnknown} whose outcome is unknown (perhaps paid twice)`;
  const fields: [string, string | null][] = [
    ['task', `${task.taskId} (${task.runId}/${task.name})`],
    ['description', task.description],
    ['state', lookOf(task.state).paint(colours, stateText(task.state))],
    ['reason', task.reason],
    ['branch', task.branch],
    ['commit', task.commit],
    ['landed as', task.landedCommit],
    ['rescue', task.rescue],
    ['protected', task.protectedPaths.length === 0 ? null : task.protectedPaths.join(', ')],
    ...(task.unprotected ?? []).map((each): [string, string] => ['not protected', unprotectedText(each)]),
    ['files changed', task.filesChanged === null ? null : String(task.filesChanged)],
    ['model', `${task.modelTurns} ${task.modelTurns === 1 ? 'turn' : 'turns'}${unknown}; ${usageText(task.usage)}`],
    ['created', task.createdAt],
    ['ended', task.endedAt],
  ];
  const columns = Math.max(...fields.map(([name]) => name.length));
  const lines = fields.flatMap(([name, value]) => {
    if (value === null) return [];
    // Only the state is safe text, with colours. The other values may contain control characters.
    return [`${padEnd(name, columns)}  ${name === 'state' ? value : plainLine(value)}`];
  });
  lines.push(...landedMeanwhile(task).map((line) => `${padEnd('conflict', columns)}  ${line}`));
  const pull = pullCommand(task);
  for (const { label, command } of [
    ...nextSteps(task),
    ...(pull === null ? [] : [{ label: 'as a branch', command: pull }]),
  ])
    lines.push(`${padEnd(label, columns)}  ${colours.bold(plainLine(command))}`);
  if (task.logTail !== null) lines.push('log', ...logTail(task.logTail, colours));
  if (task.logArtifact !== null)
    lines.push(`${padEnd('whole log', columns)}  ${colours.bold(plainLine(`coppice artifact ${task.logArtifact}`))}`);
  return lines;
}
