import { handle } from '@coppice/bus';
import type { Bus, CommandHandler } from '@coppice/bus';
import { CoppiceError, artifactNames, buckets, runOperations } from '@coppice/contracts';
import type { TextReference } from '@coppice/contracts';
import { createActor, sendEvent } from '@coppice/durable-actor';
import type { TaskInput } from './machines/task/task-context.ts';
import type { StoredRun } from './submit.ts';

/**
 * Commands that run actors send to the orchestrator itself, for work on all tasks of a run. The commands can be
 * repeated, since each message has a fixed id.
 */

/** Longer prompts are put into the object store. A task's value must stay small, since it is written on every step. */
const promptInlineBytesMax = 4 * 1024;
const messagesAtOnce = 16;

export const runCommandHandlers = (bus: Bus): CommandHandler[] => [
  handle(runOperations.createTasks, async ({ tenant, runId, specificationArtifact }) => {
    const run = await readStoredRun(bus, specificationArtifact);
    await eachTask(run, async ({ taskId, specification }) => {
      const prompt = await reference(bus, specification.prompt, artifactNames.prompt(tenant, runId, taskId));
      const input: TaskInput = {
        owner: { tenant, runId, taskId },
        repository: run.repository,
        repositoryId: run.repositoryId,
        baseBranch: run.baseBranch,
        specification: { ...specification, prompt },
      };
      await createActor(bus, { kind: 'task', id: `${tenant}.${taskId}`, input, messageId: `create-${runId}` });
    });
    return { tasks: run.tasks.length };
  }),
  handle(runOperations.cancelTasks, async ({ tenant, runId, specificationArtifact, reason }) => {
    const run = await readStoredRun(bus, specificationArtifact);
    await eachTask(run, async ({ taskId }) => {
      const event = { type: 'cancel', reason };
      await sendEvent(bus, { kind: 'task', id: `${tenant}.${taskId}`, event, messageId: `cancel-${runId}` });
    });
    return { tasks: run.tasks.length };
  }),
];

async function readStoredRun(bus: Bus, artifact: string): Promise<StoredRun> {
  const objects = await bus.objects(buckets.artifacts);
  const bytes = await objects.get(artifact);
  if (bytes === null) throw new CoppiceError('not-found', `the run's specification ${artifact} is gone`);
  return JSON.parse(new TextDecoder().decode(bytes)) as StoredRun;
}

async function eachTask(run: StoredRun, work: (task: StoredRun['tasks'][number]) => Promise<void>): Promise<void> {
  for (let start = 0; start < run.tasks.length; start += messagesAtOnce) {
    await Promise.all(run.tasks.slice(start, start + messagesAtOnce).map(work));
  }
}

async function reference(bus: Bus, text: string, artifact: string): Promise<TextReference> {
  if (Buffer.byteLength(text) <= promptInlineBytesMax) return { text };
  const objects = await bus.objects(buckets.artifacts);
  await objects.put(artifact, new TextEncoder().encode(text));
  return { artifact };
}
