/** Resolves the user's text for a run or task. The text is an id, a unique prefix of an id, or `run/name`. */
import { api, CoppiceError, runIdSchema, taskIdSchema } from '@coppice/contracts';
import type { ApiClient } from './api-client.ts';
import { ask } from './ask.ts';
import { CliError } from './errors.ts';
import { exitCodes } from './exit-codes.ts';
import { plainLine } from './output/text.ts';

export type Target = { kind: 'run'; runId: string } | { kind: 'task'; taskId: string; runId: string; name: string };
export type TaskTarget = Extract<Target, { kind: 'task' }>;

/** Number of newest runs or tasks among which a prefix is searched. */
const listLimit = 500;
const candidatesShownMax = 5;
const beginning = /^[rt][a-z2-7]{0,16}$/;

/**
 * @throws CliError (bad input) if the text can't be an id, or matches several; CoppiceError `not-found` if nothing
 * matches
 */
export async function resolveTarget(client: ApiClient, text: string): Promise<Target> {
  const slash = text.indexOf('/');
  if (slash !== -1) return taskByName(client, text.slice(0, slash), text.slice(slash + 1));
  if (runIdSchema.safeParse(text).success) return resolveRun(client, text);
  if (taskIdSchema.safeParse(text).success) {
    const { taskId, runId, name } = await ask(client, api.taskGet, { taskId: text });
    return { kind: 'task', taskId, runId, name };
  }
  if (!beginning.test(text)) {
    throw new CliError(
      exitCodes.badInput,
      `${plainLine(text)}: expected the id of a run (r…) or task (t…), a unique beginning of one, or run/name`,
    );
  }
  return text.startsWith('r') ? resolveRun(client, text) : taskByBeginning(client, text);
}

/**
 * Resolves a task. If the text names a run with only one task, returns that task.
 * @throws CliError (bad input) for a run with several tasks
 */
export async function resolveTask(client: ApiClient, text: string): Promise<TaskTarget> {
  const target = await resolveTarget(client, text);
  if (target.kind === 'task') return target;
  const { tasks } = await ask(client, api.runGet, { runId: target.runId });
  const [first] = tasks;
  if (first !== undefined && tasks.length === 1)
    return { kind: 'task', taskId: first.taskId, runId: target.runId, name: first.name };
  const names = tasks.slice(0, candidatesShownMax).map((task) => `${text}/${task.name}`);
  const more = tasks.length > names.length ? ', …' : '';
  throw new CliError(exitCodes.badInput, `${text} is a run; name one of its tasks: ${names.join(', ')}${more}`);
}

async function resolveRun(client: ApiClient, text: string): Promise<{ kind: 'run'; runId: string }> {
  if (runIdSchema.safeParse(text).success) {
    await ask(client, api.runGet, { runId: text });
    return { kind: 'run', runId: text };
  }
  const { runs, more } = await ask(client, api.runList, { limit: listLimit });
  const found = runs.filter((run) => run.runId.startsWith(text));
  const names = found.map((run) => `${run.runId} (${run.repository})`);
  return { kind: 'run', runId: only(text, 'run', found, names, more).runId };
}

async function taskByBeginning(client: ApiClient, text: string): Promise<TaskTarget> {
  const { tasks, more } = await ask(client, api.taskList, { limit: listLimit });
  const found = tasks.filter((task) => task.taskId.startsWith(text));
  const names = found.map((task) => `${task.taskId} (${task.name})`);
  const { taskId, runId, name } = only(text, 'task', found, names, more);
  return { kind: 'task', taskId, runId, name };
}

async function taskByName(client: ApiClient, run: string, name: string): Promise<TaskTarget> {
  if (!run.startsWith('r') || !beginning.test(run)) {
    throw new CliError(
      exitCodes.badInput,
      `${plainLine(run)}/${plainLine(name)}: expected a run's id (r…) before the slash`,
    );
  }
  const { runId } = await resolveRun(client, run);
  const { tasks } = await ask(client, api.runGet, { runId });
  const task = tasks.find((candidate) => candidate.name === name);
  if (task !== undefined) return { kind: 'task', taskId: task.taskId, runId, name };
  const names = tasks.slice(0, candidatesShownMax).map((candidate) => candidate.name);
  throw new CliError(
    exitCodes.badInput,
    `run ${runId} has no task ${plainLine(name)}; it has ${names.join(', ')}${tasks.length > names.length ? ', …' : ''}`,
  );
}

function only<Item>(text: string, what: string, found: readonly Item[], names: string[], more: boolean): Item {
  const [first] = found;
  if (first !== undefined && found.length === 1) return first;
  if (first === undefined) {
    const where = more ? ` among the newest ${listLimit}: use the whole id` : ` (see coppice ls)`;
    throw new CoppiceError('not-found', `there is no ${what} whose id begins with ${text}${where}`);
  }
  const listed = names.slice(0, candidatesShownMax).join(', ') + (names.length > candidatesShownMax ? ', …' : '');
  throw new CliError(exitCodes.badInput, `${text} is the beginning of ${found.length} ${what}s: ${listed}`);
}
