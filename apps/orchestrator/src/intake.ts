import { isUtf8 } from 'node:buffer';
import { busLimits, deadLetter, inDeliverySpan, parseStrictJson, validate } from '@coppice/bus';
import type { Bus, Consumption, Delivery } from '@coppice/bus';
import type { EventType } from '@coppice/contracts';
import {
  CoppiceError,
  commandAgeMsMax,
  runIdOf,
  runItself,
  runLimits,
  runRequestSchema,
  shortHash,
  intakeConsumer,
  intakeLaterConsumer,
  noRun,
  streams,
  subjects,
  tenantOf,
  tenantSchema,
  toWireError,
} from '@coppice/contracts';
import { Places } from '@coppice/service';
import { submitRun } from './submit.ts';

/**
 * The durable intake: run.submit's payload from publishers that don't wait for an answer.
 *
 * Invariants:
 * 1. A request is acknowledged when its run is there, or when it is stored as a dead letter and its refusal is told as an event.
 * 2. Requests of one tenant whose repositories are slow, or never answer, hold a few places, and never all.
 * 3. One that fails for a reason that passes is looked at again later, for up to 7 days from when it was published.
 */
const ackWaitMs = 60_000;
const concurrency = 16;
/**
 * Of both streams together, in this process. Who finds none, and sees none become free, is put off. Those who wait fill slots of the consumption as well as
 * those who hold a place: of one tenant both together are half of the slots, so that the others' requests are looked at however slow its repositories are.
 */
const placesOfIntake = { total: 32, perTenant: 4, waitingPerTenantMax: 4, stuckAfterMs: 1_000 };
const retryMsMin = 1_000;
const retryMsMax = 60_000;
const triesHeader = 'Coppice-Tries';
const publishedHeader = 'Coppice-Published';
const source = 'intake';
const { requestValuesMax: valuesMax, requestDepthMax: depthMax } = busLimits;
const keptBytesMax = 16 * 1024;
/** Of W3C trace context, which asks for no more. */
const traceCharactersMax = 512;

export async function consumeIntake(bus: Bus): Promise<Consumption> {
  const places = new Places(placesOfIntake);
  const consumptions = [
    await consumeFrom(bus, places, streams.intake, intakeConsumer, subjects.intake('*')),
    await consumeFrom(bus, places, streams.intakeLater, intakeLaterConsumer, subjects.intakeAgain('*')),
  ];
  return {
    stop: async () => {
      await Promise.all(consumptions.map((consumption) => consumption.stop()));
    },
  };
}

const consumeFrom = (
  bus: Bus,
  places: Places,
  stream: string,
  durable: string,
  filterSubject: string,
): Promise<Consumption> =>
  bus.consume({ stream, durable, filterSubject, ackWaitMs, concurrency }, (delivery) =>
    inDeliverySpan(delivery, { template: filterSubject }, (failed) => receive(bus, places, delivery, failed)),
  );

async function receive(bus: Bus, places: Places, delivery: Delivery, failed: (error: unknown) => void): Promise<void> {
  const publishedAt = ownHeader(delivery, publishedHeader) ?? delivery.publishedAt.toISOString();
  try {
    if (Date.now() - Date.parse(publishedAt) > commandAgeMsMax)
      throw new CoppiceError('expired', 'the request is older than 7 days');
    const tenant = validate(tenantSchema, tenantOf(delivery.subject), 'the tenant in the subject');
    const body = parseStrictJson(delivery.data, 'run.submit', { valuesMax, depthMax });
    const request = validate(runRequestSchema, body, 'run.submit');
    await places.within(tenant, () => submitRun(bus, tenant, request));
  } catch (error) {
    failed(error);
    const refusal = toWireError(error).retryable ? await later(bus, delivery, publishedAt) : error;
    if (refusal !== null) await refuse(bus, delivery, refusal);
  }
  await delivery.acknowledge();
}

/** Of a refused request its sender has the whole; how it begins is enough to tell which it was. */
async function refuse(bus: Bus, delivery: Delivery, error: unknown): Promise<void> {
  await deadLetter(bus, delivery, source, error, { tenant: tenantOf(delivery.subject), keptBytesMax });
  await tellRefusal(bus, delivery, error);
}

/** Null, or why it can't be looked at again: with what is noted on it, it would be too large for a message. */
async function later(bus: Bus, delivery: Delivery, publishedAt: string): Promise<CoppiceError | null> {
  const tries = Number(ownHeader(delivery, triesHeader) ?? 0) + 1;
  const waitMsMax = Math.min(retryMsMin * 2 ** Math.min(tries, 10), retryMsMax);
  // Those that were put off together would find the same few places if they came back together.
  const waitMs = retryMsMin + Math.random() * (waitMsMax - retryMsMin);
  const waiting = subjects.intakeLater(tenantOf(delivery.subject), shortHash(String(delivery.sequence), publishedAt));
  try {
    await bus.publish(waiting, delivery.data, {
      schedule: { at: new Date(Date.now() + waitMs), target: subjects.intakeAgain(tenantOf(delivery.subject)) },
      headers: { ...headersToKeep(delivery), [triesHeader]: String(tries), [publishedHeader]: publishedAt },
    });
  } catch (error) {
    if (error instanceof CoppiceError && error.code === 'limit-exceeded') return error;
    throw error;
  }
  return null;
}

/** Of a request that we have put back ourselves; what a publisher sends under the same name says nothing. */
const ownHeader = ({ subject, headers }: Delivery, name: string): string | undefined =>
  subject === subjects.intakeAgain(tenantOf(subject)) ? headers[name] : undefined;

/** Whose trace it belongs to. Nothing else: with the publisher's message id the copy would be dropped as a repeat, and others may be of any size. */
const headersToKeep = ({ headers }: Delivery): Record<string, string> =>
  Object.fromEntries(
    ['traceparent', 'tracestate'].flatMap((name) => {
      const value = headers[name];
      return value === undefined || value.length > traceCharactersMax ? [] : [[name, value]];
    }),
  );

/**
 * Who followed the run's events, whose id follows from tenant and requestId, learns why there are none. Of a request that names none its sender knows
 * the number that the intake gave it: such a one is refused at its first delivery, which has that number.
 */
async function tellRefusal(bus: Bus, delivery: Delivery, error: unknown): Promise<void> {
  const tenant = tenantOf(delivery.subject);
  if (!tenantSchema.safeParse(tenant).success) return;
  const failure = toWireError(error);
  const requestId = requestIdOf(delivery);
  if (requestId === null) {
    // In the other stream it has a number that says nothing to a publisher, or another request's.
    if (!isFromPublisher(delivery)) return;
    const { sequence: intakeSequence } = delivery;
    const subject = subjects.event(tenant, noRun, String(intakeSequence), 'intake-refused');
    return tell(bus, delivery, subject, { type: 'intake-refused', data: { intakeSequence, failure } });
  }
  const runId = runIdOf(tenant, requestId);
  const subject = subjects.event(tenant, runId, runItself, 'run-refused');
  return tell(bus, delivery, subject, { type: 'run-refused', data: { runId, requestId, failure } });
}

async function tell(
  bus: Bus,
  delivery: Delivery,
  subject: string,
  { type, data }: { type: EventType; data: object },
): Promise<void> {
  const event = {
    specversion: '1.0',
    // The two streams that requests come from count each for itself.
    id: `intake_${isFromPublisher(delivery) ? '' : 'later_'}${delivery.sequence}`,
    source: '/coppice/intake',
    type: `coppice.${type}`,
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    sequence: '1',
    data,
  };
  await bus.publish(subject, event, { messageId: event.id });
}

/** By the intake's own stream, rather than by that of those which are looked at again. */
const isFromPublisher = ({ subject }: Delivery): boolean => subject === subjects.intake(tenantOf(subject));

/** An id that is no Unicode text would be read as another one. */
function requestIdOf(delivery: Delivery): string | null {
  if (!isUtf8(delivery.data)) return null;
  try {
    const { requestId } = delivery.json() as { requestId?: unknown };
    if (typeof requestId !== 'string' || !requestId.isWellFormed()) return null;
    return Array.from(requestId).length <= runLimits.requestIdCharactersMax ? requestId : null;
  } catch {
    // Not JSON: then no run is named.
    return null;
  }
}
