import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError, artifactNames, buckets, runIdOf, taskIdOf, worktreeCalls } from '@coppice/contracts';
import type { RunRequest, TaskSpecification, UnprotectedPart } from '@coppice/contracts';
import type { Bus } from '@coppice/bus';
import { createActor, readActor } from '@coppice/durable-actor';
import { retry } from '@coppice/service';
import type { RunContext, RunInput } from './machines/run-machine.ts';
import { requireModels } from './require-models.ts';
import { checkSize, dependencyPositions, specify } from './specification.ts';
import { runContextOf } from './views.ts';
import { whenServed } from './when-served.ts';

/**
 * Accepts a run.
 *
 * Invariants:
 * 1. A rejected request leaves nothing behind.
 * 2. Tenant and requestId identify the run. A repeated request finds it, and a different request with the same id is
 *    rejected.
 * 3. When the request is answered, the run exists. `run.get` finds it, and it continues even if any process dies.
 * 4. run.submit also waits for the run's tasks, so that `task.get` finds them. It answers before its caller stops
 *    waiting, even if the tasks don't exist yet.
 */
export type Submitted = {
  runId: string;
  created: boolean;
  tasks: { name: string; taskId: string }[];
  unprotected: UnprotectedPart[];
};

/** A run as stored in the object store. */
export type StoredRun = {
  tenant: string;
  runId: string;
  repository: string;
  repositoryId: string;
  baseBranch: string;
  tasks: { taskId: string; specification: TaskSpecification }[];
};

/** Number of `disk-full` answers to `inspect` after which the run is rejected. */
const inspectionsMax = 5;
const appearsWithinMs = 15_000;
/** Shorter than the deadline of run.submit, so that the caller gets the answer. */
const tasksAppearWithinMs = 25_000;
const readsAtOnce = 16;
const lookAgainMs = 10;
const lookAgainMsMax = 250;
const unprotectedMax = 20;

export async function submitRun(bus: Bus, tenant: string, request: RunRequest): Promise<Submitted> {
  checkSize(request);
  const specifications = specify(request);
  const runId = runIdOf(tenant, request.requestId);
  const requestHash = createHash('sha256').update(JSON.stringify(request)).digest('hex');
  const tasks = specifications.map(({ name }) => ({ name, taskId: taskIdOf(runId, name) }));
  const unprotected = unprotectedOf(specifications);

  const earlier = await readActor(bus, 'run', `${tenant}.${runId}`);
  if (earlier !== null) {
    requireSame(runContextOf(earlier), requestHash, request.requestId);
    return { runId, created: false, tasks, unprotected };
  }
  const { repository, repositoryId } = await inspect(bus, tenant, request);
  await requireModels(bus, request, specifications);
  const stored: StoredRun = {
    tenant,
    runId,
    repository,
    repositoryId,
    baseBranch: request.baseBranch,
    tasks: specifications.map((specification, index) => ({ taskId: tasks[index]?.taskId ?? '', specification })),
  };
  // The name contains the hash of the request, so that two different requests with one id never overwrite each other's
  // specification.
  const specificationArtifact = artifactNames.run(tenant, runId, requestHash);
  const objects = await bus.objects(buckets.artifacts);
  await objects.put(specificationArtifact, new TextEncoder().encode(JSON.stringify(stored)));
  const positions = dependencyPositions(specifications);
  const input: RunInput = {
    tenant,
    runId,
    requestId: request.requestId,
    requestHash,
    repository,
    baseBranch: request.baseBranch,
    concurrency: request.concurrency,
    modelLimits: request.limits ?? {},
    specificationArtifact,
    tasks: tasks.map((task, index) => ({ ...task, dependsOn: positions[index] ?? [] })),
  };
  await createActor(bus, { kind: 'run', id: `${tenant}.${runId}`, input, messageId: `submit-${requestHash}` });
  const context = await appeared(bus, `${tenant}.${runId}`);
  requireSame(context, requestHash, request.requestId);
  return { runId, created: true, tasks, unprotected };
}

/**
 * Returns the unprotected parts of all tasks. Duplicates are removed, since most tasks of a run have the same command.
 */
function unprotectedOf(specifications: readonly TaskSpecification[]): UnprotectedPart[] {
  const parts = new Map<string, UnprotectedPart>();
  for (const { unprotected = [] } of specifications)
    for (const each of unprotected) parts.set(JSON.stringify(each), each);
  return [...parts.values()].slice(0, unprotectedMax);
}

async function inspect(bus: Bus, tenant: string, request: RunRequest) {
  const { repository, baseBranch } = request;
  try {
    return await whenServed(() => ofAnyNode(bus, { tenant, repository, baseBranch }));
  } catch (error) {
    if (!(error instanceof CoppiceError)) throw error;
    const field =
      error.code === 'branch-not-found' ? 'baseBranch' : error.code === 'repository-not-found' ? 'repository' : null;
    // The tenant may not use the repository. The condition on `issues` excludes a permission error of the bus, which
    // names no field.
    if (error.code === 'permission-denied' && error.details?.['issues'] !== undefined)
      throw new CoppiceError(error.code, `run.submit: ${error.message}`, { cause: error, details: error.details });
    if (field === null) throw error;
    const expected = field === 'baseBranch' ? 'a branch of the repository' : 'a git repository that can be read';
    const issue = { field, expected, received: JSON.stringify(field === 'baseBranch' ? baseBranch : repository) };
    const details = { ...error.details, issues: [issue] };
    throw new CoppiceError(error.code, `run.submit: ${field}: ${error.message}`, {
      cause: error,
      details,
      retryable: error.retryable,
    });
  }
}

/**
 * Inspects the repository on any node. Retries on `disk-full`, since the NATS server may choose another host, which may
 * have space.
 */
function ofAnyNode(bus: Bus, question: { tenant: string; repository: string; baseBranch: string }) {
  const isFull = (error: Error) => error instanceof CoppiceError && error.code === 'disk-full';
  const inspectOnce = () => bus.call(worktreeCalls.inspect, { service: 'worktree-service' }, question);
  return retry(inspectOnce, { mayPass: isFull, triesMax: inspectionsMax });
}

async function appeared(bus: Bus, id: string): Promise<RunContext> {
  const end = Date.now() + appearsWithinMs;
  for (let pauseMs = lookAgainMs; Date.now() < end; pauseMs = Math.min(pauseMs * 2, lookAgainMsMax)) {
    const view = await readActor(bus, 'run', id);
    if (view !== null) return runContextOf(view);
    await sleep(pauseMs);
  }
  throw new CoppiceError(
    'deadline-exceeded',
    'the run is stored and will start, but has not yet; ask again with the same requestId',
  );
}

/** Accepts a run and waits until its tasks exist. On a busy machine it may return before that. */
export async function submitRunWithTasks(bus: Bus, tenant: string, request: RunRequest): Promise<Submitted> {
  const end = Date.now() + tasksAppearWithinMs;
  const submitted = await submitRun(bus, tenant, request);
  let pauseMs = lookAgainMs;
  for (let found = 0; found < submitted.tasks.length && Date.now() < end;) {
    const next = submitted.tasks.slice(found, found + readsAtOnce);
    const views = await Promise.all(next.map(({ taskId }) => readActor(bus, 'task', `${tenant}.${taskId}`)));
    const missing = views.indexOf(null);
    found += missing === -1 ? views.length : missing;
    if (missing === -1) continue;
    // A run that has ended doesn't create more tasks.
    if ((await readActor(bus, 'run', `${tenant}.${submitted.runId}`))?.status === 'done') break;
    await sleep(pauseMs);
    pauseMs = Math.min(pauseMs * 2, lookAgainMsMax);
  }
  return submitted;
}

function requireSame(context: RunContext, requestHash: string, requestId: string): void {
  if (context.requestHash === requestHash) return;
  const issues = [
    { field: 'requestId', expected: 'an id that names no other run', received: JSON.stringify(requestId) },
  ];
  const text = `run.submit: requestId: ${JSON.stringify(requestId)} was used before for another request: run ${context.runId}`;
  throw new CoppiceError('already-exists', text, { details: { issues, runId: context.runId } });
}
