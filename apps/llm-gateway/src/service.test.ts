import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { cancelSubject } from '@coppice/bus';
import { buckets, inlineTextBytesMax } from '@coppice/contracts';
import type { Outcome, TextReference, TurnOutput } from '@coppice/contracts';
import { startService } from '@coppice/service';
import type { StartedService } from '@coppice/service';
import { eventually, startNatsServer, temporaryFolder } from '@coppice/testing';
import type { NatsServer, TemporaryFolder } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readCount, startLlmGateway } from './index.ts';
import { startOrchestrator } from './test-support/orchestrator.ts';
import type { Orchestrator, Turn } from './test-support/orchestrator.ts';

const model = 'scripted/plan.yaml';
const largeText = 'a large text\n'.repeat(200_000);

let folder: TemporaryFolder;
let nats: NatsServer;
let orchestrator: Orchestrator;
let gateway: StartedService;
let countFile: string;

beforeAll(async () => {
  folder = await temporaryFolder('gateway');
  countFile = path.join(folder.path, 'count');
  await writeFile(path.join(folder.path, 'large.txt'), largeText);
  await writeFile(path.join(folder.path, 'wrong.yaml'), 'default:\n  turns:\n    - txt: a\n');
  await writeFile(
    path.join(folder.path, 'plan.yaml'),
    `
rules:
  - { when: { contains: large }, turns: [{ textFile: large.txt }] }
  - { when: { contains: slow }, turns: [{ text: late, latencyMs: 120000 }] }
  - { when: { contains: passing }, turns: [{ text: at last, usage: { inputTokens: 7 }, fault: { kind: error, times: 2 } }] }
  - { when: { contains: limited }, turns: [{ text: at last, fault: { kind: limited, retryAfterMs: 30, times: 1 } }] }
  - { when: { contains: lasting }, turns: [{ fault: { kind: error, message: overloaded } }] }
  - { when: { contains: spent }, turns: [{ fault: { kind: error, message: spend limit reached, retryable: false } }] }
  - { when: { contains: cut }, turns: [{ text: "half of it", usage: { inputTokens: 9, outputTokens: 4, costUsd: 0.25 }, fault: { kind: cut } }] }
default: { turns: [{ text: "done\\n", usage: { inputTokens: 10, outputTokens: 2, costUsd: 0.5 } }] }
`,
  );
  nats = await startNatsServer({ auth: true });
  orchestrator = await startOrchestrator(nats);
  gateway = await startService({
    name: 'llm-gateway',
    version: '0.0.0',
    node: 'here',
    connection: nats.connection,
    makesResources: true,
    start: (context) =>
      startLlmGateway(context, {
        scriptFolders: [folder.path],
        scriptedCountFile: countFile,
        retry: { pauseMsMin: 1, pauseMsMax: 4 },
      }),
  });
});
afterAll(async () => {
  await gateway.stop();
  await orchestrator.close();
  await nats.stop();
  await folder.remove();
});

let turns = 0;
/** Returns a model call of a new task. */
function turn(prompt: string, rest: Partial<Turn> = {}): Turn {
  turns++;
  const taskId = `t${'a'.repeat(14)}${String.fromCodePoint(97 + Math.floor(turns / 26), 97 + (turns % 26))}`;
  return { effectId: `task_${taskId}_1_1`, taskId, model, prompt, ...rest };
}
async function runTurn(ordered: Turn): Promise<Outcome> {
  await orchestrator.order(ordered);
  return orchestrator.resultOf(ordered.effectId);
}
const requestCount = async ({ taskId }: Turn) =>
  (await readCount(countFile)).filter((line) => line.taskId === taskId && line.event === 'requested').length;

function outputOf(outcome: Outcome): TurnOutput {
  expect(outcome).toMatchObject({ status: 'done' });
  return (outcome as { output: TurnOutput }).output;
}
async function textOf(reference: TextReference): Promise<string | null> {
  if ('text' in reference) return reference.text;
  const stored = await (await orchestrator.bus.objects(buckets.artifacts)).get(reference.artifact);
  return stored === null ? null : new TextDecoder().decode(stored);
}

test('a turn is answered with text, usage and finish reason, and is in the transcript', async () => {
  const ordered = turn('write it');
  const output = outputOf(await runTurn(ordered));
  expect(output).toEqual({
    turnId: ordered.effectId,
    text: { text: 'done\n' },
    toolCalls: [],
    finishReason: 'stop',
    usage: { inputTokens: 10, outputTokens: 2, costUsd: 0.5 },
    responseModel: 'plan.yaml',
    provider: 'scripted',
    latencyMs: expect.any(Number),
    queuedMs: expect.any(Number),
    attempts: 1,
  });
  expect(await orchestrator.transcript(ordered.taskId)).toEqual([
    {
      effectId: ordered.effectId,
      owner: { tenant: 'default', runId: 'raaaaaaaaaaaaaaaa', taskId: ordered.taskId },
      model,
      continues: null,
      request: { text: JSON.stringify([{ role: 'user', content: [{ type: 'text', text: 'write it' }] }]) },
      output,
      time: expect.stringMatching(/^\d{4}-.*Z$/),
    },
  ]);
});

test('a repeated command gets the same answer, and the model gets no further request', async () => {
  const ordered = turn('write it');
  const first = await runTurn(ordered);
  await orchestrator.order(ordered);
  await orchestrator.order(ordered);
  // All results of one effect have the same message id, so NATS may drop repeated results as duplicates.
  await eventually(async () => (await orchestrator.bus.backlog('coppice-commands', 'llm-gateway-any')).pending === 0);
  await eventually(
    async () => (await orchestrator.bus.backlog('coppice-commands', 'llm-gateway-any')).unacknowledged === 0,
  );
  expect(new Set(orchestrator.results(ordered.effectId).map((each) => JSON.stringify(each)))).toEqual(
    new Set([JSON.stringify(first)]),
  );
  expect(await requestCount(ordered)).toBe(1);
  expect(await orchestrator.transcript(ordered.taskId)).toHaveLength(1);
});

test('a large answer is sent by reference', async () => {
  const ordered = turn('large');
  const { text } = outputOf(await runTurn(ordered));
  expect(text).toHaveProperty('artifact');
  expect(await textOf(text)).toBe(largeText);
  expect((await orchestrator.transcript(ordered.taskId))[0]?.output.text).toEqual(text);
});

test('a large prompt is in the transcript by reference', async () => {
  const ordered = turn('x'.repeat(inlineTextBytesMax + 1));
  outputOf(await runTurn(ordered));
  const [entry] = await orchestrator.transcript(ordered.taskId);
  expect(entry?.request).toHaveProperty('artifact');
  expect(await textOf(entry?.request as TextReference)).toContain(ordered.prompt);
});

test('temporary errors are retried, and the failed attempts are charged', async () => {
  const passing = turn('passing');
  expect(outputOf(await runTurn(passing)).text).toEqual({ text: 'at last' });
  expect(await requestCount(passing)).toBe(3);
  const limited = turn('limited');
  expect(outputOf(await runTurn(limited)).text).toEqual({ text: 'at last' });
  expect(await requestCount(limited)).toBe(2);
});

test.each([
  ['lasting', 4, { code: 'provider-failed', message: 'overloaded', retryable: true, details: { attempts: 4 } }],
  ['spent', 1, { code: 'provider-failed', message: 'spend limit reached', retryable: false }],
  [
    'cut',
    1,
    {
      code: 'provider-failed',
      message: 'scripted ended its answer in the middle',
      retryable: true,
      details: { usage: { inputTokens: 9, outputTokens: 4, costUsd: 0.25 } },
    },
  ],
])('%s is reported after %i attempts, without a transcript entry', async (prompt, attempts, error) => {
  const ordered = turn(prompt);
  expect(await runTurn(ordered)).toMatchObject({ status: 'failed', error });
  expect(await requestCount(ordered)).toBe(attempts);
  expect(await orchestrator.transcript(ordered.taskId)).toEqual([]);
});

test.each([
  ['acme/gpt', { code: 'model-not-found', message: expect.stringContaining('"acme/gpt"') }],
  ['scripted', { code: 'model-not-found' }],
  ['scripted/missing.yaml', { code: 'model-not-found', message: expect.stringContaining('plan.yaml') }],
  ['scripted/../plan.yaml', { code: 'permission-denied' }],
  ['scripted//etc/passwd', { code: 'permission-denied' }],
  [
    'scripted/wrong.yaml',
    { code: 'invalid-request', message: expect.stringContaining('wrong.yaml:3: default.turns[0]') },
  ],
])('model %s is rejected', async (name, error) => {
  const ordered = turn('write it', { model: name });
  expect(await runTurn(ordered)).toMatchObject({ status: 'failed', error: { retryable: false, ...error } });
  expect(await requestCount(ordered)).toBe(0);
});

test('the time limit ends a turn', async () => {
  expect(await runTurn(turn('slow', { timeLimitMs: 100 }))).toMatchObject({
    status: 'failed',
    error: {
      code: 'deadline-exceeded',
      message: expect.stringMatching(/^scripted\/plan.yaml did not answer within \d+ ms$/),
    },
  });
});

test('a cancelled turn ends, and has no transcript entry', async () => {
  const ordered = turn('slow');
  await orchestrator.order(ordered);
  await eventually(async () => (await requestCount(ordered)) === 1);
  orchestrator.bus.publishCore(cancelSubject(ordered.effectId), {});
  expect(await orchestrator.resultOf(ordered.effectId)).toMatchObject({
    status: 'failed',
    error: { code: 'cancelled' },
  });
  expect(await orchestrator.transcript(ordered.taskId)).toEqual([]);
});

test('a text that the prompt references reaches the model, and a missing one is an error', async () => {
  const objects = await orchestrator.bus.objects(buckets.artifacts);
  await objects.put('prompt/one', new TextEncoder().encode('spent'));
  const order = async (artifact: string) => {
    const { effectId, taskId } = turn('');
    await orchestrator.bus.publish('coppice.cmd.llm-gateway.any.turn', {
      effectId,
      replyTo: { kind: 'test', id: taskId },
      issuedAt: new Date().toISOString(),
      input: {
        owner: { tenant: 'default', runId: 'raaaaaaaaaaaaaaaa', taskId },
        model,
        messages: [{ role: 'user', content: [{ type: 'text-artifact', artifact }] }],
        timeLimitMs: 10_000,
      },
    });
    return orchestrator.resultOf(effectId);
  };
  expect(await order('prompt/one')).toMatchObject({ error: { message: 'spend limit reached' } });
  expect(await order('prompt/none')).toMatchObject({
    error: { code: 'not-found', message: expect.stringContaining('prompt/none') },
  });
});

test('fifty concurrent turns are all answered', async () => {
  const ordered = Array.from({ length: 50 }, () => turn('write it'));
  const outcomes = await Promise.all(ordered.map(runTurn));
  expect(outcomes.filter((outcome) => outcome.status === 'done')).toHaveLength(50);
});
