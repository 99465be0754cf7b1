import { CoppiceError, durationMs, runLimits } from '@coppice/contracts';
import type {
  FieldIssue,
  ModelLimits,
  RunRequest,
  TaskDefaults,
  TaskRequest,
  TaskSpecification,
} from '@coppice/contracts';
import { Definitions } from './protection/definitions.ts';
import { protectionOf } from './protection/protection.ts';

/** Defaults for fields that neither the task nor the run sets. */
const defaults = {
  image: 'coppice/agent-runtime',
  network: 'none',
  commitType: 'feat',
  timeLimit: '30m',
} as const;

/** Maximum number of dependencies of all tasks of a run together. The run's value contains them. */
const dependenciesOfRunMax = 5_000;

/**
 * Fills in the run's defaults and Coppice's defaults for every task.
 * @throws CoppiceError `invalid-request`, whose message names the first wrong field and whose `details.issues` lists up
 * to 20
 */
export function specify(request: RunRequest): TaskSpecification[] {
  const issues: FieldIssue[] = [];
  const definitions = new Definitions();
  const specifications = request.tasks.map((task, index) =>
    specifyTask({ request, definitions, issues }, task, `tasks[${index}]`),
  );
  checkDependencies(request.tasks, issues);
  if (issues.length > 0) throw refusal(issues);
  return specifications;
}

/** Returns the error for wrong fields. Its message names the first field, and `details.issues` lists up to 20. */
export function refusal(issues: readonly FieldIssue[]): CoppiceError {
  const [first] = issues;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : '';
  const text = `run.submit: ${first?.field}: expected ${first?.expected}, received ${first?.received}${more}`;
  return new CoppiceError('invalid-request', text, { details: { issues: issues.slice(0, 20) } });
}

type Specifying = { request: RunRequest; definitions: Definitions; issues: FieldIssue[] };

function specifyTask(
  { request, definitions, issues }: Specifying,
  task: TaskRequest,
  field: string,
): TaskSpecification {
  const { defaults: common, limits: ofRun = {} } = request;
  const missing = (name: string, expected: string) => {
    issues.push({ field: `${field}.${name}`, expected: `${expected}, here or in defaults`, received: 'nothing' });
  };
  const model = task.model ?? common.model;
  const agent = task.agent ?? common.agent;
  const verify = task.verify ?? common.verify;
  if (model === undefined) missing('model', 'provider/model');
  if (agent === undefined) missing('agent', 'an agent such as {kind: prompt, file: NOTES.md}');
  if (verify === undefined) missing('verify', 'a command that verifies the task, or false');
  const setup = task.setup ?? common.setup;
  const network = (step: 'setup' | 'agent' | 'verify') =>
    task.network?.[step] ?? common.network?.[step] ?? defaults.network;
  return {
    name: task.name,
    description: task.description,
    prompt: task.prompt,
    dependsOn: task.dependsOn,
    image: task.image ?? common.image ?? defaults.image,
    model: model ?? '',
    agent: agent ?? { kind: 'prompt', file: '' },
    setup: setup === undefined ? null : { run: setup.run, inputs: setup.inputs },
    network: { setup: network('setup'), agent: network('agent'), verify: network('verify') },
    commit: {
      type: task.commit?.type ?? common.commit?.type ?? defaults.commitType,
      scope: task.commit?.scope ?? common.commit?.scope ?? null,
    },
    ...protectionOf(provingCommands(verify, setup), task.protect ?? common.protect ?? [], definitions),
    timeLimitMs: durationMs(task.limits?.time ?? common.limits?.time ?? defaults.timeLimit),
    modelLimits: { task: modelLimitsOf(task, common), run: ofRun },
    verify: verify ?? false,
    merge: task.merge ?? common.merge ?? 'auto',
    method: task.method ?? common.method ?? 'merge',
  };
}

/**
 * Returns the commands that decide whether a task is verified. A setup without inputs isn't one of them, since it runs
 * on the base tree, which no task has changed.
 */
function provingCommands(verify: string | false | undefined, setup: TaskRequest['setup']): string[] {
  if (verify === undefined || verify === false) return [];
  return setup === undefined || setup.inputs.length === 0 ? [verify] : [verify, setup.run];
}

function modelLimitsOf(task: TaskRequest, common: TaskDefaults): ModelLimits {
  const tokens = task.limits?.tokens ?? common.limits?.tokens;
  const costUsd = task.limits?.costUsd ?? common.limits?.costUsd;
  return { ...(tokens === undefined ? {} : { tokens }), ...(costUsd === undefined ? {} : { costUsd }) };
}

function checkDependencies(tasks: TaskRequest[], issues: FieldIssue[]): void {
  const positions = new Map<string, number>();
  for (const [index, task] of tasks.entries()) {
    const earlier = positions.get(task.name);
    if (earlier !== undefined) {
      const expected = `a name of its own (tasks[${earlier}] has it already)`;
      issues.push({ field: `tasks[${index}].name`, expected, received: JSON.stringify(task.name) });
    }
    positions.set(task.name, index);
  }
  let total = 0;
  for (const [index, task] of tasks.entries()) {
    total += task.dependsOn.length;
    for (const [place, name] of task.dependsOn.entries()) {
      if (positions.has(name)) continue;
      const field = `tasks[${index}].dependsOn[${place}]`;
      issues.push({ field, expected: 'the name of a task of this run', received: JSON.stringify(name) });
    }
  }
  if (total > dependenciesOfRunMax) {
    issues.push({
      field: 'tasks',
      expected: `at most ${dependenciesOfRunMax} dependencies in all`,
      received: String(total),
    });
  }
  if (issues.length > 0) return;
  const cycle = findCycle(tasks);
  if (cycle !== null) {
    const field = `tasks[${positions.get(cycle[0] ?? '')}].dependsOn`;
    issues.push({ field, expected: 'no circle', received: cycle.join(' → ') });
  }
}

/**
 * Returns the names of tasks in a cycle of dependencies, with the first name again at the end. Returns null if there is
 * no cycle.
 */
function findCycle(tasks: TaskRequest[]): string[] | null {
  const byName = new Map(tasks.map((task) => [task.name, task]));
  const done = new Set<string>();
  for (const task of tasks) {
    // A recursion could be as deep as the run has tasks, so this uses a stack.
    const path: { name: string; next: number }[] = [{ name: task.name, next: 0 }];
    const onPath = new Set([task.name]);
    while (path.length > 0) {
      const top = path.at(-1) as { name: string; next: number };
      const needed = byName.get(top.name)?.dependsOn[top.next++];
      if (needed === undefined) {
        done.add(top.name);
        onPath.delete(top.name);
        path.pop();
      } else if (onPath.has(needed)) {
        const names = path.map((each) => each.name);
        return [...names.slice(names.indexOf(needed)), needed];
      } else if (!done.has(needed)) {
        path.push({ name: needed, next: 0 });
        onPath.add(needed);
      }
    }
  }
  return null;
}

/** Returns each task's dependencies as positions in the run's list. */
export function dependencyPositions(specifications: TaskSpecification[]): number[][] {
  const positions = new Map(specifications.map((each, index) => [each.name, index]));
  return specifications.map((each) => each.dependsOn.map((name) => positions.get(name) ?? 0));
}

const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

/** @throws CoppiceError `limit-exceeded`, which names the largest task, if the request doesn't fit into one message */
export function checkSize(request: RunRequest): void {
  const bytes = bytesOf(request);
  if (bytes <= runLimits.requestBytesMax) return;
  const field = 'tasks';
  const sizes = request.tasks.map(bytesOf);
  const largest = sizes.indexOf(Math.max(...sizes));
  const expected = `a request of at most ${runLimits.requestBytesMax} bytes`;
  const received = `${bytes} bytes; the largest task is tasks[${largest}] with ${sizes[largest]} bytes`;
  const details = { issues: [{ field, expected, received }] };
  throw new CoppiceError('limit-exceeded', `run.submit: ${field}: expected ${expected}, received ${received}`, {
    details,
  });
}
