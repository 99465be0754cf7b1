import { coppiceEventSchema, taskViewSchema, isTaskEnd } from '@coppice/contracts';
import type { TaskView } from '@coppice/contracts';
import { git } from './make-project.ts';
import type { DemoProject } from './make-project.ts';
import { allTasks, atOnceMin, keptOutFile, keptOutTask, landingTasks, loopTasks } from './plan.ts';

export type Check = { promise: string; kept: boolean; found: string };

export const readTask = (json: string): TaskView => taskViewSchema.parse(JSON.parse(json));

export function checkTasks(tasks: ReadonlyMap<string, TaskView>): Check[] {
  const stateOf = (name: string) => tasks.get(name)?.state ?? 'not there';
  const keptOut = tasks.get(keptOutTask);
  return [
    ...landingTasks.map((name) => ({
      promise: `${name} is merged`,
      kept: stateOf(name) === 'merged',
      found: stateOf(name),
    })),
    {
      promise: `${keptOutTask} failed its verification and says so`,
      kept: keptOut?.state === 'failed' && keptOut.reason !== null && keptOut.logTail !== null,
      found: `${stateOf(keptOutTask)}: ${keptOut?.reason ?? 'no reason'}`,
    },
  ];
}

export function checkRepository(project: DemoProject, tasks: ReadonlyMap<string, TaskView>): Check[] {
  const { repository, firstCommit } = project;
  const history = historyOf(repository);
  const checks: Check[] = landingTasks.map((name) => inHistory(name, tasks.get(name)?.landedCommit ?? null, history));
  const changed = git(repository, 'diff', '--name-only', firstCommit, 'main', '--', keptOutFile);
  checks.push({
    promise: `${keptOutFile} is as it was`,
    kept: changed === '',
    found: changed === '' ? 'unchanged' : 'changed',
  });
  return [...checks, checkCheckout(repository)];
}

/** Makes the checks for real models, which cover only what doesn't depend on the model. */
export function checkAnyOutcome({ repository }: DemoProject, tasks: ReadonlyMap<string, TaskView>): Check[] {
  const history = historyOf(repository);
  const checks = allTasks.map((name): Check => {
    const task = tasks.get(name);
    if (task === undefined) return { promise: `${name} is over`, kept: false, found: 'not there' };
    if (task.state === 'merged') return inHistory(name, task.landedCommit, history);
    const { state, reason } = task;
    const promise = `${name} did not land, and says why`;
    return {
      promise,
      kept: isTaskEnd(state) && (reason !== null || state === 'no-changes'),
      found: `${state}: ${reason}`,
    };
  });
  return [...checks, checkCheckout(repository)];
}

const historyOf = (repository: string) => new Set(git(repository, 'rev-list', 'main').split('\n'));

const inHistory = (name: string, commit: string | null, history: ReadonlySet<string>): Check => ({
  promise: `the commit of ${name} is in main's history`,
  kept: commit !== null && history.has(commit),
  found: commit ?? 'none',
});

function checkCheckout(repository: string): Check {
  const status = git(repository, 'status', '--porcelain');
  return { promise: 'the checkout is clean and at main', kept: status === '', found: status === '' ? 'clean' : status };
}

/** @param lines the output of `coppice watch --json` */
export function checkParallel(lines: readonly string[]): Check[] {
  const working = new Map<string, string>();
  let most = 0;
  let mixed = false;
  for (const line of lines) {
    const event = coppiceEventSchema.safeParse(JSON.parse(line));
    if (!event.success || event.data.type !== 'coppice.task-state') continue;
    const { taskId, to, name } = event.data.data;
    if (to === 'waiting' || isTaskEnd(to)) working.delete(taskId);
    else working.set(taskId, name);
    most = Math.max(most, working.size);
    const loops = [...working.values()].filter((each) => loopTasks.includes(each)).length;
    mixed ||= loops === loopTasks.length && working.size > loops;
  }
  return [
    { promise: `at least ${atOnceMin} tasks were at work at once`, kept: most >= atOnceMin, found: `${most}` },
    {
      promise: 'both agents with tools were at work at the same time as tasks without an agent',
      kept: mixed,
      found: 'they were not',
    },
  ];
}
