/** Checks in the API, in the events and in git that each task has ended exactly once, as planned. */
import { api, isTaskEnd } from '@coppice/contracts';
import type { TaskView } from '@coppice/contracts';
import type { TemporaryRepository } from '@coppice/testing';
import { baseFiles } from './plan.ts';
import type { PlannedTask, RepositoryName, Wave } from './plan.ts';
import type { ChaosSystem } from './system.ts';
import { runIdOfWave, taskIdOfPlan } from './users.ts';
import type { StoredEvent } from './users.ts';

const tenant = 'default';
const fieldSeparator = '\u001f';

export type TaskViews = ReadonlyMap<string, TaskView>;

export async function readTasks(system: ChaosSystem, waves: readonly Wave[]): Promise<TaskViews> {
  const views = new Map<string, TaskView>();
  for (const wave of waves) {
    const { tasks } = await system.bus
      .call(api.taskList, { tenant }, { runId: runIdOfWave(wave), limit: 500 })
      .catch(() => ({ tasks: [] }));
    for (const task of tasks) views.set(task.taskId, task);
  }
  return views;
}

export function lostTasks(waves: readonly Wave[], views: TaskViews): string[] {
  const byName = new Map([...views.values()].map((view) => [view.name, view]));
  return waves.flatMap((wave) =>
    wave.tasks.flatMap((task) => {
      const view = views.get(taskIdOfPlan(wave, task));
      if (view === undefined) return [`${task.name}: not there`];
      if (!isTaskEnd(view.state))
        return [`${task.name} (${view.taskId}): still ${view.state}, ${view.reason ?? 'no reason'}`];
      if (isBlocked(task, byName))
        return view.state === 'merged' ? [`${task.name}: merged without what it depends on`] : [];
      if (!task.ends.includes(view.state))
        return [`${task.name} (${view.taskId}): ${view.state}, ${view.reason ?? 'no reason'}`];
      const reasonFits = view.state === 'merged' || (task.reason ?? /./).test(view.reason ?? '');
      return reasonFits
        ? []
        : [`${task.name} (${view.taskId}): ${view.state} for another reason: ${view.reason ?? 'none'}`];
    }),
  );
}

const isBlocked = ({ request }: PlannedTask, byName: ReadonlyMap<string, TaskView>): boolean =>
  ((request['dependsOn'] as string[] | undefined) ?? []).some((name) => byName.get(name)?.state !== 'merged');

export type Landings = { landedTwice: string[]; wrongContent: string[] };

/** Checks that the branch has one commit for each task that landed, with only that task's files, and nothing else. */
export async function checkLandings(
  waves: readonly Wave[],
  views: TaskViews,
  repositories: Readonly<Record<RepositoryName, TemporaryRepository>>,
): Promise<Landings> {
  const result: Landings = { landedTwice: [], wrongContent: [] };
  for (const [name, repository] of Object.entries(repositories)) {
    const ofRepository = waves.filter((wave) => wave.repository === name);
    await checkRepository(ofRepository, views, { name, repository, result });
  }
  return result;
}

type Place = { name: string; repository: TemporaryRepository; result: Landings };

async function checkRepository(waves: readonly Wave[], views: TaskViews, place: Place): Promise<void> {
  const { name, repository, result } = place;
  const commits = await commitsByTask(repository);
  const planned = new Map<string, PlannedTask>();
  for (const wave of waves) for (const task of wave.tasks) planned.set(taskIdOfPlan(wave, task), task);
  for (const [taskId, ids] of commits) {
    const task = planned.get(taskId);
    if (task === undefined || views.get(taskId)?.state !== 'merged')
      result.wrongContent.push(
        `${name}: commit ${ids.join(', ')} is of ${task?.name ?? taskId}, which is ${views.get(taskId)?.state ?? 'not of this plan'}`,
      );
    if (ids.length > 1) result.landedTwice.push(`${name}: ${task?.name ?? taskId} has the commits ${ids.join(', ')}`);
  }
  const expected = new Set(Object.keys(baseFiles));
  for (const [taskId, task] of planned) {
    if (views.get(taskId)?.state !== 'merged') continue;
    const commit = commits.get(taskId)?.[0];
    if (commit === undefined) {
      result.wrongContent.push(`${name}: ${task.name} is merged, and has no commit on the branch`);
      continue;
    }
    for (const path of Object.keys(task.files)) expected.add(path);
    result.wrongContent.push(...(await checkCommit(repository, commit, task)));
  }
  const paths = (await repository.git('ls-tree', '-r', '--name-only', 'main')).split('\n');
  for (const path of paths) if (!expected.has(path)) result.wrongContent.push(`${name}: ${path} is of no task`);
  for (const path of expected) if (!paths.includes(path)) result.wrongContent.push(`${name}: ${path} is missing`);
  result.wrongContent.push(...(await checkMerges(repository, commits, name)));
  if (name === 'checked-out') {
    const status = await repository.git('status', '--porcelain');
    if (status !== '') result.wrongContent.push(`${name}: the checkout differs from its branch: ${status}`);
  }
}

/** Returns the branch's commits, without merges, by the task id in their trailer. */
async function commitsByTask(repository: TemporaryRepository): Promise<Map<string, string[]>> {
  const format = `--format=%H${fieldSeparator}%(trailers:key=Coppice-Task,valueonly,separator=)`;
  const log = await repository.git('log', '--no-merges', format, 'main');
  const commits = new Map<string, string[]>();
  for (const line of log.split('\n')) {
    const [id = '', taskId = ''] = line.split(fieldSeparator);
    if (taskId !== '') commits.set(taskId, [...(commits.get(taskId) ?? []), id]);
  }
  return commits;
}

async function checkCommit(repository: TemporaryRepository, commit: string, task: PlannedTask): Promise<string[]> {
  const changed = (await repository.git('diff-tree', '-r', '--no-commit-id', '--name-only', commit)).split('\n');
  const planned = Object.keys(task.files);
  const faults: string[] = [];
  if (changed.toSorted().join() !== planned.toSorted().join())
    faults.push(`${task.name}: its commit ${commit} changes ${changed.join(', ')}, planned: ${planned.join(', ')}`);
  for (const [path, content] of Object.entries(task.files)) {
    const found = await repository.show(path, commit);
    const fits = task.kind === 'shared' ? found?.split('\n').includes(content) : found === content;
    if (fits !== true) faults.push(`${task.name}: ${path} holds ${JSON.stringify(found?.slice(0, 100))}`);
  }
  return faults;
}

/** Finds commits that were merged twice, and merged commits that belong to no task. */
async function checkMerges(
  repository: TemporaryRepository,
  commits: ReadonlyMap<string, string[]>,
  name: string,
): Promise<string[]> {
  const merged = (await repository.git('log', '--merges', '--format=%P', 'main')).split('\n').filter(Boolean);
  const seconds = merged.map((parents) => parents.split(' ')[1] ?? '');
  const twice = seconds.filter((id, index) => seconds.indexOf(id) !== index);
  const ofTasks = new Set([...commits.values()].flat());
  return [
    ...twice.map((id) => `${name}: ${id} was merged twice`),
    ...seconds.filter((id) => !ofTasks.has(id)).map((id) => `${name}: the merged commit ${id} is of no task`),
  ];
}

/**
 * Returns one sentence for each source that lacks an event, has events in the wrong order, or has no single end event.
 * Also returns one for each task without events.
 */
export function eventFaults(events: readonly StoredEvent[], views: TaskViews): string[] {
  const bySource = new Map<string, StoredEvent[]>();
  for (const stored of events)
    bySource.set(stored.event.source, [...(bySource.get(stored.event.source) ?? []), stored]);
  const faults: string[] = [];
  for (const [source, ofSource] of bySource) {
    const sequences = [...new Set(ofSource.map(({ event }) => Number(event.sequence)))];
    if (sequences.some((sequence, index) => sequence !== index + 1))
      faults.push(`${source}: the events ${sequences.join(', ')}`);
    const endings = new Set(ofSource.filter(({ event }) => event.type.endsWith('-ended')).map(({ event }) => event.id));
    if (endings.size !== 1) faults.push(`${source}: ${endings.size} events of its end`);
  }
  for (const { taskId, name } of views.values())
    if (!events.some((stored) => stored.taskId === taskId)) faults.push(`${name}: no event`);
  return faults;
}
