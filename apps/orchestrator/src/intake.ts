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
 * The durable intake. It accepts the payload of run.submit from publishers that don't wait for an answer.
 *
 * Invariants:
 * 1. An accepted request is acknowledged after its run exists. A rejected request is acknowledged after its dead letter
 *    is stored and its rejection is published. A postponed request is acknowledged after its copy is stored.
 * 2. Requests for one tenant's slow or unresponsive repositories are limited, so they never block the requests of other
 *    tenants.
 * 3. A request that fails with a retryable error is retried until 7 days after it was published.
 */
const ackWaitMs = 60_000;
const concurrency = 16;
/**
 * Limits on the requests that this process handles at once, for both streams together. Further requests wait, and a
 * request that isn't admitted is postponed. A waiting request also occupies a slot of its consumer. So all requests of
 * one tenant, running and waiting, take at most half of a consumer's slots.
 */
const placesOfIntake = { total: 32, perGroup: 4, waitingPerGroupMax: 4, stuckAfterMs: 1_000 };
const retryMsMin = 1_000;
const retryMsMax = 60_000;
const triesHeader = 'Coppice-Tries';
const publishedHeader = 'Coppice-Published';
const source = 'intake';
const { requestValuesMax: valuesMax, requestDepthMax: depthMax } = busLimits;
const keptBytesMax = 16 * 1024;
/** Maximum length of a trace header in characters. W3C trace context doesn't require more. */
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

/** Rejects a request. The dead letter contains the beginning of the request, which is enough to identify it. */
async function refuse(bus: Bus, delivery: Delivery, error: unknown): Promise<void> {
  await deadLetter(bus, delivery, source, error, { tenant: tenantOf(delivery.subject), keptBytesMax });
  await publishRefusal(bus, delivery, error);
}

/** Schedules a retry. Returns the error if the extra headers would make the message too large, and null otherwise. */
async function later(bus: Bus, delivery: Delivery, publishedAt: string): Promise<CoppiceError | null> {
  const tries = Number(ownHeader(delivery, triesHeader) ?? 0) + 1;
  const waitMsMax = Math.min(retryMsMin * 2 ** Math.min(tries, 10), retryMsMax);
  // The wait is random, so that requests that were postponed together are spread.
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

/**
 * Returns a header that the intake set when it postponed the request. A publisher's header of the same name is ignored.
 */
const ownHeader = ({ subject, headers }: Delivery, name: string): string | undefined =>
  subject === subjects.intakeAgain(tenantOf(subject)) ? headers[name] : undefined;

/**
 * Returns the trace headers, which are the only headers of the copy. With the publisher's message id, the server would
 * drop the copy as a duplicate. Other headers may be of any size.
 */
const headersToKeep = ({ headers }: Delivery): Record<string, string> =>
  Object.fromEntries(
    ['traceparent', 'tracestate'].flatMap((name) => {
      const value = headers[name];
      return value === undefined || value.length > traceCharactersMax ? [] : [[name, value]];
    }),
  );

/**
 * Publishes the reason for a rejection on the subject of the run's events. A subscriber can derive the run's id from
 * tenant and requestId. Without a requestId, the subject contains the request's sequence number in the intake stream,
 * which the publisher knows. Such a request is rejected at its first delivery, which has that sequence number.
 */
async function publishRefusal(bus: Bus, delivery: Delivery, error: unknown): Promise<void> {
  const tenant = tenantOf(delivery.subject);
  if (!tenantSchema.safeParse(tenant).success) return;
  const failure = toWireError(error);
  const requestId = requestIdOf(delivery);
  if (requestId === null) {
    // The delivery is from the stream of postponed requests. The publisher doesn't know its sequence number, and
    // another request in the intake may have the same number.
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

/** True for the intake's stream, false for the stream of postponed requests. */
const isFromPublisher = ({ subject }: Delivery): boolean => subject === subjects.intake(tenantOf(subject));

/**
 * Returns the requestId, or null if there is none. Also returns null for invalid Unicode, which would be decoded to
 * another id.
 */
function requestIdOf(delivery: Delivery): string | null {
  if (!isUtf8(delivery.data)) return null;
  try {
    const { requestId } = delivery.json() as { requestId?: unknown };
    if (typeof requestId !== 'string' || !requestId.isWellFormed()) return null;
    return Array.from(requestId).length <= runLimits.requestIdCharactersMax ? requestId : null;
  } catch {
    // A request that isn't JSON has no requestId.
    return null;
  }
}
