import { mkdir, chown } from 'node:fs/promises';
import { join } from 'node:path';
import { Bus, cancelSubject } from '@coppice/bus';
import {
  actorMessageSchema,
  anyPool,
  logChunkSchema,
  streams,
  subjects,
  type LogChunk,
  type Outcome,
  type SandboxSpecification,
} from '@coppice/contracts';
import { eventually, type NatsServer } from '@coppice/testing';

export const tenant = 'default';
const runId = 'raaaaaaaaaaaaaaaa';
const mebibyte = 1024 * 1024;

export const ownerOf = (taskId: string) => ({ tenant, runId, taskId });

/** A minimal orchestrator that publishes commands and has an inbox. */
export interface Orchestrator {
  bus: Bus;
  /** @param pool default: `anyPool`, served by every process */
  order(effectId: string, operation: string, input: unknown, pool?: string): Promise<void>;
  resultOf(effectId: string, settings?: { times?: number; timeoutMs?: number }): Promise<Outcome>;
  /** Publishes a command and waits for its result. Fails the test if the outcome isn't `done`. */
  done<Output>(effectId: string, operation: string, input: unknown): Promise<Output>;
  cancel(effectId: string): void;
  logOf(taskId: string): Promise<LogChunk[]>;
  close(): Promise<void>;
}

export async function startOrchestrator(nats: NatsServer): Promise<Orchestrator> {
  const bus = await Bus.connect({ ...nats.connection, name: 'test' });
  await bus.ensureResources();
  const results = new Map<string, Outcome[]>();
  const settings = {
    stream: streams.actors,
    durable: 'test',
    filterSubject: subjects.actor('test', '*'),
    ackWaitMs: 10_000,
    concurrency: 4,
  };
  const inbox = await bus.consume(settings, async (delivery) => {
    const message = actorMessageSchema.parse(delivery.json());
    if (message.type === 'result') {
      results.set(message.effectId, [...(results.get(message.effectId) ?? []), message.outcome]);
    }
    await delivery.acknowledge();
  });
  const order: Orchestrator['order'] = async (effectId, operation, input, pool = anyPool) => {
    await bus.publish(subjects.command('container-service', pool, operation), {
      effectId,
      replyTo: { kind: 'test', id: 'test' },
      issuedAt: new Date().toISOString(),
      input,
    });
  };
  const resultOf: Orchestrator['resultOf'] = (effectId, { times = 1, timeoutMs = 20_000 } = {}) =>
    eventually(() => results.get(effectId)?.[times - 1], { timeoutMs, description: `result ${times} of ${effectId}` });
  return {
    bus,
    order,
    resultOf,
    done: async <Output>(effectId: string, operation: string, input: unknown): Promise<Output> => {
      await order(effectId, operation, input);
      const outcome = await resultOf(effectId);
      if (outcome.status !== 'done') throw new Error(`${operation} failed: ${JSON.stringify(outcome.error)}`);
      return outcome.output as Output;
    },
    cancel: (effectId) => bus.publishCore(cancelSubject(effectId), {}),
    logOf: async (taskId) => {
      const messages = await Array.fromAsync(bus.read(streams.logs, subjects.log(tenant, taskId)));
      return messages.map((message) => logChunkSchema.parse(message.json()));
    },
    close: async () => {
      await inbox.stop();
      await bus.close();
    },
  };
}

/** Creates a workspace as the worktree service does. Returns the specification of a sandbox for it. */
export async function specificationIn(
  dataFolder: string,
  taskId: string,
  overrides: Partial<SandboxSpecification> = {},
): Promise<SandboxSpecification> {
  const workspace = join(dataFolder, 'worktree-service', taskId);
  await mkdir(workspace, { recursive: true });
  if (process.getuid?.() === 0) await chown(workspace, 10001, 10001);
  return {
    owner: ownerOf(taskId),
    sandboxId: `sandbox-${taskId}`,
    image: 'coppice/agent-runtime',
    mounts: [{ source: workspace, target: '/workspace', readOnly: false }],
    network: 'none',
    limits: { memoryBytes: 512 * mebibyte, cpus: 1, pids: 100, scratchBytes: 64 * mebibyte },
    environment: { OF_TASK: 'yes' },
    ...overrides,
  };
}
