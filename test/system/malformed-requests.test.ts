import { readFile } from 'node:fs/promises';
import { api, buckets, gatewayCalls, streams, subjects, wireErrorSchema } from '@coppice/contracts';
import type { FieldIssue } from '@coppice/contracts';
import { eventually, temporaryRepository } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { methods } from '../../libs/contracts/published/messages.ts';
import { malformed } from '../support/malformed.ts';
import type { Malformed } from '../support/malformed.ts';
import { Stack } from '../support/stack.ts';

/**
 * Sends 5,000 malformed requests. Each must be rejected immediately with the name of its field, and nothing may be
 * stored.
 */

const seed = 13;
const counts = { warmUp: 1_000, api: 3_300, intake: 400, http: 300 };
/** Maximum growth of a service's memory. A service that keeps a part of each large request would exceed this limit. */
const growthBytesMax = 192 * 1024 * 1024;
const refusalBytesMax = 64 * 1024;

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start({
    engine: 'none',
    script: 'default: { turns: [{ text: ok }] }',
    environment: { COPPICE_GATEWAY_HTTP: '127.0.0.1:0' },
  });
}, 180_000);
afterAll(() => stack?.stop());

const samples = methods.flatMap(({ name, messages: [input] }) =>
  input.examples.map(({ payload }) => ({ method: name, schema: input.schema, payload })),
);
const runSamples = samples.filter(({ method }) => method === api.runSubmit.name);
const refusalSchema = z.object({ error: wireErrorSchema });

async function inParallel<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}

/**
 * Unless `exact` is set, the error may name the field's parent or a part of the field instead, since the intended
 * alternative of a union is unknown.
 */
function isAbout({ field, exact }: Malformed, named: string): boolean {
  const shown = named.replace(/…$/, '');
  return field === null || shown === field || (!exact && (field.startsWith(shown) || shown.startsWith(field)));
}

function faultsOf(request: Malformed, { code, message, details }: z.output<typeof wireErrorSchema>): string[] {
  const [issue] = (details?.['issues'] ?? []) as FieldIssue[];
  const faults: string[] = [];
  if (code !== 'invalid-request' && code !== 'limit-exceeded') faults.push(`the code is ${code}`);
  if (issue === undefined) faults.push('no issue');
  else if (!isAbout(request, issue.field)) faults.push(`names ${issue.field} instead of ${request.field}`);
  if (/not JSON/.test(message) && !/at line \d+, column \d+/.test(message)) faults.push('no line and column');
  if (!message.isWellFormed()) faults.push('the message is not valid Unicode');
  return faults.map((fault) => `${request.what}, ${request.method}: ${fault}: ${message.slice(0, 300)}`);
}

async function refuse(requests: readonly Malformed[]): Promise<string[]> {
  const faults: string[] = [];
  await inParallel(requests, async (request) => {
    const where = `${request.what}, ${request.method}`;
    const deadlineMs = 60_000;
    const subject = subjects.api('default', request.method);
    const reply = await stack.bus.request(subject, request.data, { deadlineMs }).catch(() => null);
    if (reply === null) {
      faults.push(`${where}: no answer`);
      return;
    }
    const parsed = refusalSchema.safeParse(JSON.parse(new TextDecoder().decode(reply.data)));
    if (parsed.success) faults.push(...faultsOf(request, parsed.data.error));
    else faults.push(`${where}: accepted: ${new TextDecoder().decode(request.data.subarray(0, 300))}`);
    if (reply.data.length > refusalBytesMax) faults.push(`${where}: ${reply.data.length} bytes of refusal`);
  });
  return faults;
}

async function kept(): Promise<Record<string, number>> {
  const names = [streams.events, streams.intake, streams.intakeLater, streams.deadLetters];
  const messages = await Promise.all(names.map(async (name) => [name, await stack.bus.storedMessages(name)] as const));
  const { data } = await stack.bus.request('$JS.API.INFO', new Uint8Array(), { deadlineMs: 10_000 });
  const account = JSON.parse(new TextDecoder().decode(data)) as { streams: number; consumers: number };
  const stored: Record<string, number> = Object.fromEntries(messages);
  // Counts only the keys of actors. The sweeper's lease in the same bucket appears a minute after the start.
  const actors = (await Array.fromAsync(stack.bus.keyValue(buckets.actors).keys('*.>'))).length;
  return { ...stored, actors, streams: account.streams, consumers: account.consumers };
}

async function residentBytes(): Promise<number[]> {
  const pids = [stack.processId('orchestrator'), stack.processId('llm-gateway')];
  const texts = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/status`, 'utf8')));
  return texts.map((text) => Number(/VmRSS:\s+(\d+) kB/.exec(text)?.[1]) * 1024);
}

test('requests on the bus and by HTTP are rejected, and nothing is stored', async () => {
  const all = malformed(samples, { count: counts.warmUp + counts.api, seed });
  const before = await kept();
  expect(await refuse(all.slice(0, counts.warmUp))).toEqual([]);
  const resident = await residentBytes();
  expect(await refuse(all.slice(counts.warmUp))).toEqual([]);

  const grant = { tenant: 'default', runId: '', taskId: '', models: [stack.model] };
  const { token, addresses } = await stack.bus.call(
    gatewayCalls.mintToken,
    { service: 'llm-gateway' },
    { grant, ttlMs: 600_000 },
  );
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const ofChat = [
    {
      method: 'POST',
      schema: z.unknown(),
      payload: { model: stack.model, messages: [{ role: 'user', content: 'hi' }] },
    },
  ];
  const bodies = malformed(ofChat, { count: counts.http, seed });
  const answers: string[] = [];
  await inParallel(bodies, async ({ what, field, exact, data }) => {
    const response = await fetch(`${addresses[0]}/v1/chat/completions`, {
      method: 'POST',
      headers,
      body: Buffer.from(data),
    });
    const text = await response.text();
    const names = !exact || field === null || text.includes(field);
    if (![400, 413].includes(response.status) || !names) answers.push(`${what}: ${response.status} ${text}`);
  });
  expect(answers).toEqual([]);

  const after = await residentBytes();
  for (const [index, bytes] of after.entries()) expect(bytes - (resident[index] ?? 0)).toBeLessThan(growthBytesMax);
  expect(await kept()).toEqual(before);
}, 300_000);

test('requests in the intake become dead letters, each with its event, and a normal run still works', async () => {
  const before = await kept();
  const requests = malformed(runSamples, { count: counts.intake, seed: seed + 1_000 });
  await inParallel(requests, ({ data }) => stack.bus.publish(subjects.intake('default'), data).then(() => undefined));
  const refused = {
    ...before,
    [streams.events]: (before[streams.events] ?? 0) + requests.length,
    [streams.deadLetters]: (before[streams.deadLetters] ?? 0) + requests.length,
  };
  await eventually(async () => expect(await kept()).toEqual(refused), { timeoutMs: 60_000 });

  await using repository = await temporaryRepository();
  const { runId, tasks } = await stack.submit({
    repository: repository.path,
    baseBranch: 'main',
    tasks: [
      {
        name: 'one',
        description: 'Write one',
        prompt: 'write',
        agent: { kind: 'prompt', file: 'one.txt' },
        model: stack.model,
        verify: false,
      },
    ],
  });
  expect(await stack.task(tasks[0]?.taskId ?? '')).toMatchObject({ name: 'one' });
  await stack.ended(runId);
  expect((await kept())['actors']).toBeGreaterThan(before['actors'] ?? 0);
}, 300_000);
