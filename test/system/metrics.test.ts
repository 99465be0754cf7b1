import { retention } from '@coppice/bus';
import { buckets, serviceNames, streams } from '@coppice/contracts';
import type { ServiceName } from '@coppice/contracts';
import { metricDefinitions, prometheusLabel, prometheusName } from '@coppice/telemetry';
import type { MetricName } from '@coppice/telemetry';
import { eventually, startBrokenCollector, temporaryRepository } from '@coppice/testing';
import { beforeAll, expect, test } from 'vitest';
import { whyWithout } from '../support/engines.ts';
import { parseMetrics, sumOf } from '../support/prometheus.ts';
import type { Sample } from '../support/prometheus.ts';
import { Stack } from '../support/stack.ts';

/**
 * Tests the metrics at each service's own endpoint. The collector for traces and metrics never answers, which must not
 * affect the services. During the second run the gateway and the orchestrator are killed by SIGKILL.
 */

const script = `
rules:
  - when: { contains: good }
    turns: [{ text: "good\\n", usage: { inputTokens: 100, outputTokens: 10, costUsd: 0.5 } }]
  - when: { contains: stumble }
    turns:
      - { text: "late\\n", usage: { inputTokens: 20, outputTokens: 2 }, fault: { kind: error, times: 1 } }
  - when: { contains: bad }
    turns: [{ text: "bad\\n", usage: { inputTokens: 7, outputTokens: 3 } }]
  - when: { contains: slow }
    turns: [{ text: "slow\\n", latencyMs: 2500, usage: { inputTokens: 1000, outputTokens: 500 } }]
`;
const runMsMax = 120_000;
type Scrape = Record<ServiceName, Sample[]>;
let engine: 'bubblewrap' | 'none';
let tenants: string[];
let first: Scrape;
let beforeKill: Scrape;
let last: Scrape;
let endOfKilled: string;
let deadTraces: readonly string[];

beforeAll(async () => {
  engine = (await whyWithout('bubblewrap')) === null ? 'bubblewrap' : 'none';
  await using collector = await startBrokenCollector('hangs');
  await using stack = await Stack.start({
    engine,
    script,
    environment: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_METRICS_EXPORTER: 'otlp',
      OTEL_METRIC_EXPORT_INTERVAL: '200',
      OTEL_BSP_SCHEDULE_DELAY: '100',
    },
  });
  await using repository = await temporaryRepository({ files: { 'check.sh': 'sleep 0.3; ! grep bad *.txt\n' } });
  const submit = async (requestId: string, names: readonly string[]) =>
    stack.submit({
      requestId,
      repository: repository.path,
      baseBranch: 'main',
      defaults: { model: stack.model },
      tasks: names.map((name) => ({
        name,
        description: `Write ${name}`,
        prompt: `write something ${name}`,
        agent: { kind: 'prompt', file: `${name}.txt` },
        verify: 'sh check.sh',
      })),
    });

  const ends = await submit('ends', ['good', 'stumble', 'bad']);
  await stack.ended(ends.runId, runMsMax);
  first = await scrape(stack);

  const killed = await submit('killed', ['slow']);
  const taskId = killed.tasks[0]?.taskId ?? '';
  await eventually(async () => (await stack.modelCalls()).some((line) => line.taskId === taskId));
  await stack.killAndRestart('llm-gateway');
  await stack.reached(killed.runId, taskId, 'verifying');
  beforeKill = await scrape(stack);
  await stack.killAndRestart('orchestrator');
  endOfKilled = (await stack.ended(killed.runId, runMsMax)).state;
  // Waits for empty queues, since a run can end before its task has released the landing slot.
  last = await eventually(async () => {
    const scraped = await scrape(stack);
    const waiting = sumOf(scraped.orchestrator, 'coppice_queue_messages', { state: 'waiting' });
    if (waiting > 0) throw new Error(`${waiting} messages wait`);
    return scraped;
  });
  deadTraces = [...collector.requests];
  tenants = (await Array.fromAsync(stack.bus.keyValue(buckets.actors).keys('>'))).flatMap((key) => key.split('.'));
}, 300_000);

async function scrape(stack: Stack): Promise<Scrape> {
  const scraped = serviceNames.map(async (name) => {
    const response = await fetch(`${await stack.healthUrl(name)}/metrics`);
    return [name, parseMetrics(await response.text())] as const;
  });
  return Object.fromEntries(await Promise.all(scraped)) as Scrape;
}

const samplesOf = (metric: MetricName, scraped: Sample[]): Sample[] =>
  scraped.filter(({ name }) => name.replace(/_(bucket|sum|count)$/, '') === prometheusName(metric));

test('ended tasks are counted by their end state', () => {
  const { orchestrator } = first;
  expect(sumOf(orchestrator, 'coppice_task_ended_total', { state: 'merged' })).toBe(2);
  expect(sumOf(orchestrator, 'coppice_task_ended_total', { state: 'failed' })).toBe(1);
  expect(sumOf(orchestrator, 'coppice_task_ended_total')).toBe(3);
});

test('each step of each task is counted once, with a time that is not zero', () => {
  const { orchestrator } = first;
  const steps = (state: string, part: 'count' | 'sum') =>
    sumOf(orchestrator, `coppice_task_step_duration_${part}`, { state });
  for (const state of ['waiting', 'preparing', 'working', 'committing', 'verifying', 'cleaning']) {
    expect([state, steps(state, 'count')]).toEqual([state, 3]);
  }
  expect(steps('landing', 'count')).toBe(2);
  // The verify command sleeps for 0.3 s.
  expect(steps('verifying', 'sum')).toBeGreaterThan(3 * 0.3);
});

test('tokens and cost are those that the model reports, and a failed attempt is counted with its error', () => {
  const gateway = first['llm-gateway'];
  const model = { gen_ai_provider_name: 'scripted', gen_ai_request_model: 'plan.yaml' };
  const tokens = (type: string) =>
    sumOf(gateway, 'gen_ai_client_token_usage_sum', { ...model, gen_ai_token_type: type });
  expect(tokens('input')).toBe(100 + 20 + 7);
  expect(tokens('output')).toBe(10 + 2 + 3);
  expect(sumOf(gateway, 'coppice_model_cost_total', model)).toBe(0.5);
  const attempts = samplesOf('gen_ai.client.operation.duration', gateway).filter(({ name }) => name.endsWith('_count'));
  const failed = attempts.filter(({ labels }) => labels['error_type'] !== undefined);
  expect(failed.map(({ value, labels }) => [value, labels['error_type']])).toEqual([[1, 'provider-failed']]);
  expect(attempts.reduce((sum, { value }) => sum + value, 0)).toBe(4);
});

test('after a SIGKILL of the orchestrator, its tasks are counted once, by the process in which they ended', () => {
  expect(endOfKilled).toBe('succeeded');
  expect(sumOf(beforeKill.orchestrator, 'coppice_task_ended_total')).toBe(3);
  expect(sumOf(last.orchestrator, 'coppice_task_ended_total')).toBe(1);
  expect(sumOf(last.orchestrator, 'coppice_task_ended_total', { state: 'merged' })).toBe(1);
});

test('a call whose gateway was killed is counted by the gateway that received the answer', () => {
  const gateway = last['llm-gateway'];
  expect(sumOf(gateway, 'gen_ai_client_token_usage_sum', { gen_ai_token_type: 'input' })).toBe(1000);
  expect(sumOf(gateway, 'gen_ai_client_token_usage_sum', { gen_ai_token_type: 'output' })).toBe(500);
  // The outcome of the first call is unknown, so the model may have been paid twice.
  expect(
    sumOf(gateway, 'messaging_process_duration_count', {
      messaging_destination_template: 'coppice.cmd.llm-gateway.*.turn',
      error_type: 'unknown',
    }),
  ).toBe(1);
});

test('all queues are reported by name, without remaining messages and without dead letters', () => {
  const { orchestrator } = last;
  const queues = new Set(orchestrator.flatMap(({ labels }) => labels['queue'] ?? []));
  for (const name of ['actor-task', 'actor-run', 'orchestrator-intake', 'llm-gateway-any', 'container-service-node-1'])
    expect(queues).toContain(name);
  expect(samplesOf('coppice.queue.messages', orchestrator).length).toBeGreaterThan(queues.size);
  expect(samplesOf('coppice.queue.oldest.age', orchestrator)).toHaveLength(queues.size);
  expect(samplesOf('coppice.dead.letters', orchestrator)).toEqual([
    { name: 'coppice_dead_letters', labels: {}, value: 0 },
  ]);
  expect(samplesOf('coppice.dead.letters.last', orchestrator)).toEqual([
    { name: 'coppice_dead_letters_last', labels: {}, value: 0 },
  ]);
  for (const stream of Object.keys(retention)) {
    const used = sumOf(orchestrator, 'coppice_stream_used', { stream });
    expect([stream, used < 0.01, used > 0]).toEqual([stream, true, stream !== streams.deadLetters]);
  }
});

test('sandboxes and disks are reported by the services that have them', () => {
  const sandboxes = samplesOf('coppice.sandboxes', last['container-service']);
  expect(sandboxes.map(({ labels }) => labels)).toEqual(
    ['running', 'idle'].map((state) => ({ container_runtime_name: engine, node: 'node-1', state })),
  );
  expect(sumOf(sandboxes, 'coppice_sandboxes')).toBe(0);
  for (const name of ['container-service', 'worktree-service'] as const) {
    const size = sumOf(last[name], 'system_filesystem_usage', { node: 'node-1' });
    expect(size).toBeGreaterThan(1024 ** 2);
    expect(sumOf(last[name], 'system_filesystem_usage', { system_filesystem_state: 'free' })).toBeLessThan(size);
  }
});

test('every sample belongs to a defined metric, and has only its labels', () => {
  const known = new Map(
    (Object.keys(metricDefinitions) as MetricName[]).map((name) => [
      prometheusName(name),
      new Set([...Object.keys(metricDefinitions[name].labels).map(prometheusLabel), 'le']),
    ]),
  );
  const strange = Object.values(last)
    .flat()
    .filter(({ name, labels }) => {
      const allowed = known.get(name) ?? known.get(name.replace(/_(bucket|sum|count)$/, ''));
      return name !== 'target_info' && !Object.keys(labels).every((label) => allowed?.has(label) === true);
    });
  expect(strange).toEqual([]);
});

test('no label contains an id or a tenant', () => {
  expect(tenants).toContain('default');
  const ids = new Set(tenants.filter((part) => part === 'default' || /^[rt][a-z2-7]{16}$/.test(part)));
  expect(ids.size).toBeGreaterThan(3);
  const values = Object.values(last)
    .flat()
    .flatMap(({ labels }) => Object.values(labels));
  expect(values.filter((value) => [...ids].some((id) => value.includes(id)))).toEqual([]);
});

test('the collector received traces and metrics, and never answered', () => {
  expect(new Set(deadTraces)).toEqual(new Set(['/v1/traces', '/v1/metrics']));
});
