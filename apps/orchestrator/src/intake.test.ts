import { Bus } from '@coppice/bus';
import type { Consumption } from '@coppice/bus';
import { coppiceEventSchema, noRun, runIdOf, runItself, streams, subjects } from '@coppice/contracts';
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
])('who sends %s is told by the number that it got, since it names no run', async (payload, words) => {
  await bus.publish(subjects.intake('acme'), {});
  const { sequence } = await bus.publish(subjects.intake('acme'), Buffer.from(payload));
  const wanted = subjects.event('acme', noRun, String(sequence), 'intake-refused');
  const [event] = await eventually(async () => {
    const told = await Array.fromAsync(bus.read(streams.events, wanted));
    expect(told).toHaveLength(1);
    return told.map((message) => coppiceEventSchema.parse(message.json()));
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
