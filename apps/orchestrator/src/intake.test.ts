import { Bus } from '@coppice/bus';
import type { Consumption } from '@coppice/bus';
import { runIdOf, runItself, streams, subjects } from '@coppice/contracts';
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
