import { CoppiceError, messageHeaders, subjects, wireErrorSchema } from '@coppice/contracts';
import type { Method } from '@coppice/contracts';
import { SpanKind, attributes, messagingOperations, messagingSystemNats, withSpan } from '@coppice/telemetry';
import type { Bus } from './bus.ts';
import { NotConnected } from './connection-watch.ts';
import { errors } from './nats.ts';
import { unreachable } from './unreachable.ts';
import { parseJson, validate } from './validate.ts';

/** The public API of a tenant, or a service. If `node` is given, only the service's processes on that node. */
export type CallTarget = { tenant: string } | { service: string; node?: string };

/**
 * Calls a method and returns its answer.
 * @throws CoppiceError with the error that the service answered
 * @throws CoppiceError `unavailable` when nobody received the request
 * @throws CoppiceError `deadline-exceeded` when no answer arrived in time or the connection was lost. The service may
 * have done the work.
 * @throws CoppiceError `invalid-request` when the input or the answer doesn't match its schema
 */
export async function call(
  bus: Bus,
  method: Method,
  target: CallTarget,
  input: unknown,
  options: { deadlineMs?: number },
): Promise<unknown> {
  const { subject, template: destination } = addressOf(method, target);
  validate(method.input, input, method.name);
  const spanAttributes = {
    [attributes.messagingSystemName]: messagingSystemNats,
    [attributes.messagingOperationName]: messagingOperations.call,
    [attributes.messagingOperationType]: 'send',
    [attributes.messagingDestinationTemplate]: destination,
    [attributes.messagingDestinationName]: subject,
  };
  const settings = { kind: SpanKind.CLIENT, attributes: spanAttributes };
  return withSpan(`${messagingOperations.call} ${destination}`, settings, async () => {
    const reply = await request(bus, subject, input as object, options.deadlineMs ?? method.deadlineMs);
    const body = parseJson(reply.data, `the answer of ${method.name}`);
    if (reply.headers?.has(messageHeaders.errorCode) === true) {
      throw CoppiceError.fromWire(
        validate(wireErrorSchema, (body as { error?: unknown }).error, `the error of ${method.name}`),
      );
    }
    return validate(method.output, body, `the answer of ${method.name}`);
  });
}

export function addressOf({ name }: Method, target: CallTarget): { subject: string; template: string } {
  if ('tenant' in target)
    return { subject: subjects.api(target.tenant, name), template: subjects.apiOfAnyTenant(name) };
  const { service, node } = target;
  if (node === undefined) return { subject: subjects.call(service, name), template: subjects.call(service, name) };
  return { subject: subjects.callOnNode(service, name, node), template: subjects.callOnNode(service, name, '*') };
}

async function request(bus: Bus, subject: string, input: object, deadlineMs: number) {
  try {
    return await bus.request(subject, input, { deadlineMs });
  } catch (cause) {
    if (cause instanceof errors.TimeoutError) {
      throw new CoppiceError('deadline-exceeded', `no answer on ${subject} within ${deadlineMs} ms`, { cause });
    }
    if (cause instanceof errors.NoRespondersError || (cause instanceof errors.RequestError && cause.isNoResponders())) {
      throw nobodyServes(subject, cause);
    }
    const text = `no answer on ${subject}`;
    if (mayHaveBeenReceived(cause)) throw new CoppiceError('deadline-exceeded', `${text}: ${cause.message}`, { cause });
    throw unreachable(cause, text);
  }
}

/**
 * True if the connection was lost or closed after the request was sent. A service never receives a request that the
 * server refuses.
 */
function mayHaveBeenReceived(cause: unknown): cause is Error {
  if (!(cause instanceof errors.RequestError) || cause instanceof NotConnected) return false;
  return !(cause.cause instanceof errors.PermissionViolationError);
}

export const nobodyServes = (subject: string, cause?: unknown): CoppiceError =>
  new CoppiceError('unavailable', `nobody serves ${subject}: is the service running?`, { cause });
