import { Bus } from '@coppice/bus';
import { actorMessageSchema, anyPool, streams, subjects, transcriptEntrySchema } from '@coppice/contracts';
import type { ModelLimits, ModelMessage, Outcome, ToolDefinition, TranscriptEntry } from '@coppice/contracts';
import { eventually } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';

const tenant = 'default';
const runId = 'raaaaaaaaaaaaaaaa';

export type Turn = {
  effectId: string;
  taskId: string;
  model: string;
  /** Text of the only user message. Ignored if `messages` is given. */
  prompt: string;
  messages?: ModelMessage[];
  continues?: string;
  lostTurns?: string[];
  tools?: ToolDefinition[];
  timeLimitMs?: number;
  limits?: { task: ModelLimits; run: ModelLimits };
};

export type Orchestrator = {
  bus: Bus;
  order(turn: Turn): Promise<void>;
  results(effectId: string): Outcome[];
  /** Waits until `times` results have arrived, and returns the last of them. Default: 1 result. */
  resultOf(effectId: string, settings?: { times?: number; timeoutMs?: number }): Promise<Outcome>;
  transcript(taskId: string): Promise<TranscriptEntry[]>;
  close(): Promise<void>;
};

export async function startOrchestrator(nats: NatsServer): Promise<Orchestrator> {
  const bus = await Bus.connect({ ...nats.connection, name: 'test' });
  await bus.ensureResources();
  const results = new Map<string, Outcome[]>();
  const inbox = await bus.consume(
    {
      stream: streams.actors,
      durable: 'test',
      filterSubject: subjects.actor('test', '*'),
      ackWaitMs: 10_000,
      concurrency: 4,
    },
    async (delivery) => {
      const message = actorMessageSchema.parse(delivery.json());
      if (message.type === 'result') {
        results.set(message.effectId, [...(results.get(message.effectId) ?? []), message.outcome]);
      }
      await delivery.acknowledge();
    },
  );
  const order = async ({ effectId, taskId, model, prompt, timeLimitMs = 60_000, ...rest }: Turn) => {
    await bus.publish(subjects.command('llm-gateway', anyPool, 'turn'), {
      effectId,
      replyTo: { kind: 'test', id: taskId },
      issuedAt: new Date().toISOString(),
      input: {
        owner: { tenant, runId, taskId },
        model,
        messages: [{ role: 'user', content: [{ type: 'text', text: prompt }] }],
        timeLimitMs,
        ...rest,
      },
    });
  };
  return {
    bus,
    order,
    results: (effectId) => results.get(effectId) ?? [],
    resultOf: (effectId, { times = 1, timeoutMs = 10_000 } = {}) =>
      eventually(() => results.get(effectId)?.[times - 1], {
        timeoutMs,
        description: `result ${times} of ${effectId}`,
      }),
    transcript: async (taskId) => {
      const messages = await Array.fromAsync(bus.read(streams.transcripts, subjects.transcript(tenant, taskId)));
      return messages.map((message) => transcriptEntrySchema.parse(message.json()));
    },
    close: async () => {
      await inbox.stop();
      await bus.close();
    },
  };
}
