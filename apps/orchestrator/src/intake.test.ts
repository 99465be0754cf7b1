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

/** The intake alone: what it refuses by itself needs no other service. */
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

test('a request of any body and headers becomes a dead letter of its tenant, by its first part', async () => {
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

test('a request that would be looked at again, and is too large to be stored again, is refused', async () => {
  // Nobody answers whether there is such a repository, so it has to wait; and it is as large as the server lets a message be.
  await publishRaw(subjects.intake('acme'), JSON.stringify(request('padded')).padEnd(bus.payloadBytesMax));
  await eventually(async () => expect(await letters('acme')).toHaveLength(1));
  expect(await letters('acme')).toMatchObject([{ reason: { code: 'limit-exceeded' }, bytes: bus.payloadBytesMax }]);
  await eventually(async () => expect(await bus.storedMessages(streams.intake)).toBe(0));
});

/** As large as the server takes it, which our own client doesn't send. */
async function publishRaw(subject: string, payload: string): Promise<void> {
  const { hostname, port } = new URL(nats.url);
  const { user = '', password = '' } = nats.connection;
  const socket = connect(Number(port), hostname).setEncoding('utf8');
  const options = JSON.stringify({ user, pass: password, verbose: false, pedantic: false });
  socket.write(`CONNECT ${options}\r\nPUB ${subject} ${payload.length}\r\n${payload}\r\nPING\r\n`);
  for await (const said of socket) if (String(said).includes('PONG')) break;
}

test('requests of one tenant whose repositories never answer keep no other tenant waiting', async () => {
  // In the place of a worktree service whose git waits for a server that doesn't answer.
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

test('requests of one tenant whose repositories are slow keep no other tenant waiting for all of them', async () => {
  // Each answer frees a place, so that those of the tenant that wait for one are never refused for want of any.
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

test('two refusals are two events, though their requests have the same number in two streams', async () => {
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
])('the sender of %s gets a refusal by its sequence number, since it names no run', async (payload, words) => {
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
});

test('a requestId of 200 characters names a run, whatever they are', async () => {
  const requestId = '🌿'.repeat(200);
  await bus.publish(subjects.intake('acme'), { requestId });
  const wanted = subjects.event('acme', runIdOf('acme', requestId), runItself, 'run-refused');
  await eventually(async () => expect(await Array.fromAsync(bus.read(streams.events, wanted))).toHaveLength(1));
});

test('the number of a request that the intake never had is published to nobody', async () => {
  await bus.publish(subjects.intakeAgain('acme'), { foo: 1 });
  await eventually(async () => expect(await letters('acme')).toHaveLength(1));
  // It is acknowledged after everything is published.
  await eventually(async () => expect(await bus.storedMessages(streams.intakeLater)).toBe(0));
  expect(await bus.storedMessages(streams.events)).toBe(0);
});
