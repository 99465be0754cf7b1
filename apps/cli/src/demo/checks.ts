/** Whether everything came as the demo promises. Each check is looked up in the repository or asked of the stack, never assumed. */
import { coppiceEventSchema, taskViewSchema } from '@coppice/contracts';
import type { TaskView } from '@coppice/contracts';
import { isEnd } from '../progress.ts';
import { git } from './make-project.ts';
import type { DemoProject } from './make-project.ts';
import { atOnceMin, keptOutFile, keptOutTask, landingTasks } from './project.ts';

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
  const history = new Set(git(repository, 'rev-list', 'main').split('\n'));
  const checks: Check[] = landingTasks.map((name) => {
    const commit = tasks.get(name)?.landedCommit ?? 'none';
    return { promise: `the commit of ${name} is in main's history`, kept: history.has(commit), found: commit };
  });
  const changed = git(repository, 'diff', '--name-only', firstCommit, 'main', '--', keptOutFile);
  checks.push({
    promise: `${keptOutFile} is as it was`,
    kept: changed === '',
    found: changed === '' ? 'unchanged' : 'changed',
  });
  const status = git(repository, 'status', '--porcelain');
  checks.push({
    promise: 'the checkout is clean and at main',
    kept: status === '',
    found: status === '' ? 'clean' : status,
  });
  return checks;
}

/** @param lines of `coppice watch --json`. */
export function checkParallel(lines: readonly string[]): Check {
  const working = new Set<string>();
  let most = 0;
  for (const line of lines) {
    const event = coppiceEventSchema.safeParse(JSON.parse(line));
    if (!event.success || event.data.type !== 'coppice.task-state') continue;
    const { taskId, to } = event.data.data;
    if (to === 'waiting' || isEnd(to)) working.delete(taskId);
    else working.add(taskId);
    most = Math.max(most, working.size);
  }
  return { promise: `at least ${atOnceMin} tasks were at work at once`, kept: most >= atOnceMin, found: `${most}` };
}
