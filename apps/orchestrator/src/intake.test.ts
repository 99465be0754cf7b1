import { connect } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { Bus, serviceEndpoint } from '@coppice/bus';
import type { Consumption } from '@coppice/bus';
import type { DeadLetter } from '@coppice/contracts';
import {
  CoppiceError,
  coppiceEventSchema,
  noRun,
  runIdOf,
  runItself,
  streams,
  subjects,
  worktreeCalls,
} from '@coppice/contracts';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { consumeIntake } from './intake.ts';

/** Tests the intake alone, since it rejects most of these requests without a call to another service. */
let nats: NatsServer;
let bus: Bus;
let intake: Consumption;

beforeEach(async () => {
  nats = await startNatsServer();
  bus = await Bus.connect({ ...nats.connection, name: 'intake' });
  await bus.ensureResources();
  intake = await consumeIntake(bus);
}, 30_000);
afterEach(async () => {
  await intake?.stop();
  await bus?.close();
  await nats?.stop();
}, 30_000);

const letters = async (tenant: string): Promise<DeadLetter[]> =>
  (await Array.fromAsync(bus.read(streams.deadLetters, subjects.deadLetter('intake', tenant)))).map(
    (message) => message.json() as DeadLetter,
  );

const request = (requestId: string) => ({
  requestId,
  repository: 'https://example.invalid/x.git',
  baseBranch: 'main',
  defaults: { model: 'scripted/x' },
  tasks: [{ name: 'a', description: 'a', prompt: 'a', agent: { kind: 'prompt', file: 'a' }, verify: false }],
});

test('a request with any body and headers becomes a dead letter of its tenant, which keeps its first part', async () => {
  const body = { requestId: 'large', more: 'a'.repeat(900_000) };
  const junk = '\u0001'.repeat(64_000);
  await bus.publish(subjects.intake('acme'), body, { headers: { junk, small: 'kept' } });
  await bus.publish(subjects.intake('other'), { requestId: 'small' });
  await eventually(async () => expect(await bus.storedMessages(streams.intake)).toBe(0));
  const [letter, ...others] = await letters('acme');
  expect(others).toEqual([]);
  expect(letter).toMatchObject({
    reason: { code: 'invalid-request' },
    headers: { small: 'kept' },
    headersLeftOut: 1,
    bytes: JSON.stringify(body).length,
    data: Buffer.from(JSON.stringify(body).slice(0, 16 * 1024)).toString('base64'),
  });
  expect(await letters('other')).toMatchObject([{ reason: { code: 'invalid-request' } }]);
});

test('a request that would be postponed but is too large to be stored again is rejected', async () => {
  // No service answers whether the repository exists, so the request has to wait. The request has the maximum size of a
  // message.
  await publishRaw(subjects.intake('acme'), JSON.stringify(request('padded')).padEnd(bus.payloadBytesMax));
  await eventually(async () => expect(await letters('acme')).toHaveLength(1));
  expect(await letters('acme')).toMatchObject([{ reason: { code: 'limit-exceeded' }, bytes: bus.payloadBytesMax }]);
  await eventually(async () => expect(await bus.storedMessages(streams.intake)).toBe(0));
});

/** Publishes over a socket, since our own client doesn't send a message of the maximum size. */
async function publishRaw(subject: string, payload: string): Promise<void> {
  const { hostname, port } = new URL(nats.url);
  const { user = '', password = '' } = nats.connection;
  const socket = connect(Number(port), hostname).setEncoding('utf8');
  const options = JSON.stringify({ user, pass: password, verbose: false, pedantic: false });
  socket.write(`CONNECT ${options}\r\nPUB ${subject} ${payload.length}\r\n${payload}\r\nPING\r\n`);
  for await (const said of socket) if (String(said).includes('PONG')) break;
}

test("requests for one tenant's unresponsive repositories don't block other tenants", async () => {
  // This worktree service behaves like one whose git waits for an unresponsive server.
  const inspected: string[] = [];
  const silence = Promise.withResolvers<void>();
  const inspect = serviceEndpoint('worktree-service', worktreeCalls.inspect, async ({ tenant }) => {
    inspected.push(tenant);
    await silence.promise;
    throw new CoppiceError('repository-not-found', 'there is none');
  });
  const service = await bus.serve({
    name: 'worktree-service',
    version: '0.0.0',
    description: 'silent',
    endpoints: [inspect],
  });
  for (let number = 0; number < 60; number++) await bus.publish(subjects.intake('acme'), request(`silent-${number}`));
  await bus.publish(subjects.intake('other'), request('mine'));
  await eventually(async () => expect(inspected).toContain('other'));
  expect(inspected.filter((tenant) => tenant === 'acme')).toHaveLength(4);
  silence.resolve();
  await service.stop();
});

test("requests for one tenant's slow repositories don't make another tenant wait for all of them", async () => {
  // Each answer admits another waiting request of the tenant, so none of them is ever postponed.
  const inspected: string[] = [];
  const inspect = serviceEndpoint('worktree-service', worktreeCalls.inspect, async ({ tenant }) => {
    inspected.push(tenant);
    await setTimeout(700);
    throw new CoppiceError('repository-not-found', 'there is none');
  });
  const service = await bus.serve({
    name: 'worktree-service',
    version: '0.0.0',
    description: 'slow',
    endpoints: [inspect],
  });
  for (let number = 0; number < 60; number++) await bus.publish(subjects.intake('acme'), request(`slow-${number}`));
  await bus.publish(subjects.intake('other'), request('mine'));
  await eventually(async () => expect(inspected).toContain('other'), { timeoutMs: 30_000 });
  expect(inspected.indexOf('other')).toBeLessThan(30);
  await service.stop();
}, 60_000);

test('two rejections are two events, even if the requests have the same sequence number in two streams', async () => {
  const requestId = 'refused';
  const first = await bus.publish(subjects.intake('acme'), { requestId });
  const second = await bus.publish(subjects.intakeAgain('other'), { requestId });
  expect(second.sequence).toBe(first.sequence);
  await eventually(async () => expect(await bus.storedMessages(streams.deadLetters)).toBe(2));
  for (const tenant of ['acme', 'other']) {
    const subject = subjects.event(tenant, runIdOf(tenant, requestId), runItself, 'run-refused');
    await eventually(async () => expect(await Array.fromAsync(bus.read(streams.events, subject))).toHaveLength(1));
  }
});

test.each([
  ['{"foo":1}', 'requestId: expected string, received nothing'],
  ['{"requestId":7}', 'requestId: expected string, received 7'],
  [JSON.stringify({ requestId: 'x'.repeat(201) }), 'requestId: expected'],
  ['run it', 'JSON'],
  ['null', 'run.submit'],
])(
  'the sender of %s gets a rejection by its sequence number, since the request names no run',
  async (payload, words) => {
    await bus.publish(subjects.intake('acme'), {});
    const { sequence } = await bus.publish(subjects.intake('acme'), Buffer.from(payload));
    const wanted = subjects.event('acme', noRun, String(sequence), 'intake-refused');
    const [event] = await eventually(async () => {
      const refusals = await Array.fromAsync(bus.read(streams.events, wanted));
      expect(refusals).toHaveLength(1);
      return refusals.map((message) => coppiceEventSchema.parse(message.json()));
    });
    const failure = { code: 'invalid-request', message: expect.stringContaining(words) as string };
    expect(event).toMatchObject({ id: `intake_${sequence}`, data: { intakeSequence: sequence, failure } });
  },
);

test('a requestId of any 200 characters names a run', async () => {
  const requestId = '🌿'.repeat(200);
  await bus.publish(subjects.intake('acme'), { requestId });
  const wanted = subjects.event('acme', runIdOf('acme', requestId), runItself, 'run-refused');
  await eventually(async () => expect(await Array.fromAsync(bus.read(streams.events, wanted))).toHaveLength(1));
});

test("a sequence number that isn't the intake's is not published", async () => {
  await bus.publish(subjects.intakeAgain('acme'), { foo: 1 });
  await eventually(async () => expect(await letters('acme')).toHaveLength(1));
  // The message is acknowledged only after everything is published.
  await eventually(async () => expect(await bus.storedMessages(streams.intakeLater)).toBe(0));
  expect(await bus.storedMessages(streams.events)).toBe(0);
});
