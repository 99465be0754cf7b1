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
import { Admission } from '@coppice/service';
import { submitRun } from './submit.ts';

/**
 * The durable intake: accepts the payload of run.submit from publishers that don't wait for an answer.
 *
 * Invariants:
 * 1. A request is acknowledged once its run exists, or once it is stored as a dead letter and its rejection is published as an event.
 * 2. Requests for one tenant's slow or unresponsive repositories are limited, so that these requests never block the requests of other tenants.
 * 3. A request that fails with a retryable error is retried for up to 7 days after it was published.
 */
const ackWaitMs = 60_000;
const concurrency = 16;
/**
 * Limits on the requests that this process handles at once, for both streams together. A request over a limit waits, and is postponed if it isn't admitted.
 * Waiting requests occupy the consumers' slots as well. All requests of one tenant, running and waiting, take at most half of the slots, so a tenant with slow
 * repositories doesn't block other tenants.
 */
const placesOfIntake = { total: 32, perGroup: 4, waitingPerGroupMax: 4, stuckAfterMs: 1_000 };
const retryMsMin = 1_000;
const retryMsMax = 60_000;
const triesHeader = 'Coppice-Tries';
const publishedHeader = 'Coppice-Published';
const source = 'intake';
const { requestValuesMax: valuesMax, requestDepthMax: depthMax } = busLimits;
const keptBytesMax = 16 * 1024;
/** Maximum length of a trace header; W3C trace context requires no more. */
const traceCharactersMax = 512;

export async function consumeIntake(bus: Bus): Promise<Consumption> {
  const places = new Admission(placesOfIntake);
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
  places: Admission,
  stream: string,
  durable: string,
  filterSubject: string,
): Promise<Consumption> =>
  bus.consume({ stream, durable, filterSubject, ackWaitMs, concurrency }, (delivery) =>
    inDeliverySpan(delivery, { template: filterSubject }, (failed) => receive(bus, places, delivery, failed)),
  );

async function receive(
  bus: Bus,
  places: Admission,
  delivery: Delivery,
  failed: (error: unknown) => void,
): Promise<void> {
  const publishedAt = ownHeader(delivery, publishedHeader) ?? delivery.publishedAt.toISOString();
  try {
    if (Date.now() - Date.parse(publishedAt) > commandAgeMsMax)
      throw new CoppiceError('expired', 'the request is older than 7 days');
    const tenant = validate(tenantSchema, tenantOf(delivery.subject), 'the tenant in the subject');
    const body = parseStrictJson(delivery.data, 'run.submit', { valuesMax, depthMax });
    const request = validate(runRequestSchema, body, 'run.submit');
    await places.within({ group: tenant }, () => submitRun(bus, tenant, request));
  } catch (error) {
    failed(error);
    const refusal = toWireError(error).retryable ? await later(bus, delivery, publishedAt) : error;
    if (refusal !== null) await refuse(bus, delivery, refusal);
  }
  await delivery.acknowledge();
}

/** Rejects a request. The dead letter contains only the beginning of the request. That is enough to identify the request, and its sender has all of it. */
async function refuse(bus: Bus, delivery: Delivery, error: unknown): Promise<void> {
  await deadLetter(bus, delivery, source, error, { tenant: tenantOf(delivery.subject), keptBytesMax });
  await publishRefusal(bus, delivery, error);
}

/** Schedules a retry. Returns null, or the error if the message with its extra headers would be too large. */
async function later(bus: Bus, delivery: Delivery, publishedAt: string): Promise<CoppiceError | null> {
  const tries = Number(ownHeader(delivery, triesHeader) ?? 0) + 1;
  const waitMsMax = Math.min(retryMsMin * 2 ** Math.min(tries, 10), retryMsMax);
  // The wait is random, so that requests that were postponed together don't compete again at the same time.
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

/** Returns a header that the intake itself set when it postponed the request. If a publisher sets the same header, it is ignored. */
const ownHeader = ({ subject, headers }: Delivery, name: string): string | undefined =>
  subject === subjects.intakeAgain(tenantOf(subject)) ? headers[name] : undefined;

/**
 * Returns the trace headers, the only headers that the copy keeps. With the publisher's message id the server would drop the copy as a duplicate, and other
 * headers may be of any size.
 */
const headersToKeep = ({ headers }: Delivery): Record<string, string> =>
  Object.fromEntries(
    ['traceparent', 'tracestate'].flatMap((name) => {
      const value = headers[name];
      return value === undefined || value.length > traceCharactersMax ? [] : [[name, value]];
    }),
  );

/**
 * Publishes why a request was rejected, on the subject of the run's events, since a subscriber can derive the run's id from tenant and requestId. If the
 * request has no requestId, the subject has its sequence number in the intake stream, which its publisher knows. Such a request is rejected at its first
 * delivery, which has that sequence number.
 */
async function publishRefusal(bus: Bus, delivery: Delivery, error: unknown): Promise<void> {
  const tenant = tenantOf(delivery.subject);
  if (!tenantSchema.safeParse(tenant).success) return;
  const failure = toWireError(error);
  const requestId = requestIdOf(delivery);
  if (requestId === null) {
    // A publisher doesn't know the sequence number in the stream of postponed requests, and another request in the intake may have the same number.
    if (!isFromPublisher(delivery)) return;
    const { sequence: intakeSequence } = delivery;
    const subject = subjects.event(tenant, noRun, String(intakeSequence), 'intake-refused');
    return publishEvent(bus, delivery, subject, { type: 'intake-refused', data: { intakeSequence, failure } });
  }
  const runId = runIdOf(tenant, requestId);
  const subject = subjects.event(tenant, runId, runItself, 'run-refused');
  return publishEvent(bus, delivery, subject, { type: 'run-refused', data: { runId, requestId, failure } });
}

async function publishEvent(
  bus: Bus,
  delivery: Delivery,
  subject: string,
  { type, data }: { type: EventType; data: object },
): Promise<void> {
  const event = {
    specversion: '1.0',
    // Each of the two streams has its own sequence numbers.
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

/** True for the intake's own stream, false for the stream of postponed requests. */
const isFromPublisher = ({ subject }: Delivery): boolean => subject === subjects.intake(tenantOf(subject));

/** Returns the requestId; null if the request has none, or if its requestId isn't valid Unicode, since that would be decoded to another id. */
function requestIdOf(delivery: Delivery): string | null {
  if (!isUtf8(delivery.data)) return null;
  try {
    const { requestId } = delivery.json() as { requestId?: unknown };
    if (typeof requestId !== 'string' || !requestId.isWellFormed()) return null;
    return Array.from(requestId).length <= runLimits.requestIdCharactersMax ? requestId : null;
  } catch {
    // The request isn't JSON, so it names no run.
    return null;
  }
}
