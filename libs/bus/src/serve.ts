import { randomBytes } from 'node:crypto';
import { CoppiceError, jsonSchemaOf, subjects, tenantOf, tenantSchema, toWireError } from '@coppice/contracts';
import type { Method } from '@coppice/contracts';
import {
  SpanKind,
  attributes,
  createLogger,
  extractTrace,
  messagingOperations,
  messagingSystemNats,
  recordError,
  withSpan,
} from '@coppice/telemetry';
import { Answer } from './answer.ts';
import { headersOf } from './consume.ts';
import { requireSmallJson } from './json-size.ts';
import { busLimits } from './limits.ts';
import type { Msg, NatsConnection, Subscription } from './nats.ts';
import { parseStrictJson } from './strict-json.ts';
import { untilAnswered } from './until-answered.ts';
import { parseJson, validate } from './validate.ts';

/**
 * Request/reply endpoints, advertised by the NATS services protocol (ADR-32), so that `nats micro ls`, `info` and
 * `stats` work. The client's package for this protocol is a pre-release that contains a second copy of the core. So
 * this file implements the protocol's three subjects itself.
 */
export type Endpoint = {
  method: Method;
  subject: string;
  /** If true, every process gets each request, even a process that is stopping. If false, one process gets it. */
  heardByAll: boolean;
  /**
   * Returns the answer. If it returns `undefined`, no answer is sent, since the handler has answered or the request
   * concerns another process.
   */
  handler(input: unknown, context: RequestContext, answer: Answer): Promise<unknown>;
};

export type RequestContext = {
  /** Tenant in the request's subject, which the server's permissions enforce. Null for a request between services. */
  tenant: string | null;
  subject: string;
};

export type ServiceDefinition = { name: string; version: string; description: string; endpoints: Endpoint[] };
export type Service = { stop(): Promise<void> };

type Typed<Input, Output> = Method & { input: { _zod: { output: Input } }; output: { _zod: { input: Output } } };

export const apiEndpoint = <Input, Output>(
  method: Typed<Input, Output>,
  handler: (input: Input, context: { tenant: string; subject: string }) => Promise<Output>,
): Endpoint => ({
  method,
  subject: subjects.apiOfAnyTenant(method.name),
  heardByAll: false,
  handler: (input, context) => handler(input as Input, ofTenant(context)),
});

/** A method of the public API that answers with several messages. A request without a reply subject is rejected. */
export const streamedApiEndpoint = <Input, Output>(
  method: Typed<Input, Output>,
  handler: (input: Input, context: { tenant: string; subject: string; answer: Answer }) => Promise<Output | undefined>,
): Endpoint => ({
  method,
  subject: subjects.apiOfAnyTenant(method.name),
  heardByAll: false,
  handler: async (input, context, answer) => {
    if (!answer.isAwaited) throw new CoppiceError('invalid-request', `${method.name}: no reply subject`);
    return handler(input as Input, { ...ofTenant(context), answer });
  },
});

/**
 * A method of the public API whose requests reach every process. A process that a request doesn't concern returns
 * `undefined`.
 */
export const sharedApiEndpoint = <Input, Output>(
  method: Typed<Input, Output>,
  handler: (input: Input, context: { tenant: string; subject: string }) => Output | undefined,
): Endpoint => ({
  method,
  subject: subjects.apiOfAnyTenant(method.name),
  heardByAll: true,
  handler: async (input, context) => handler(input as Input, ofTenant(context)),
});

function ofTenant({ tenant, subject }: RequestContext): { tenant: string; subject: string } {
  if (tenant === null) throw new Error(`no tenant in subject ${subject}`);
  return { tenant, subject };
}

/** A method for other services. If `node` is given, only that node serves it. */
export const serviceEndpoint = <Input, Output>(
  service: string,
  method: Typed<Input, Output>,
  handler: (input: Input, context: RequestContext) => Promise<Output>,
  node?: string,
): Endpoint => {
  const subject =
    node === undefined ? subjects.call(service, method.name) : subjects.callOnNode(service, method.name, node);
  return { method, subject, heardByAll: false, handler: (input, context) => handler(input as Input, context) };
};

const protocolVerbs = ['PING', 'INFO', 'STATS'] as const;

/** Returns the subjects of a verb for all services, for all services of a name, and for one instance. */
const servicesProtocolSubjects = (verb: (typeof protocolVerbs)[number], name: string, id: string): string[] => [
  `$SRV.${verb}`,
  `$SRV.${verb}.${name}`,
  `$SRV.${verb}.${name}.${id}`,
];

/** Returns the protocol's subjects of a service, with a wildcard for the instance's id. */
export const servicesProtocolFamily = (name: string): string[] =>
  protocolVerbs.flatMap((verb) => servicesProtocolSubjects(verb, name, '*'));

/** The protocol's default queue group. */
const queueGroup = 'q';
const log = createLogger('bus');

export async function serve(connection: NatsConnection, definition: ServiceDefinition): Promise<Service> {
  const running = new RunningService(connection, definition);
  // The server reports refused subscriptions before it answers the flush.
  await untilAnswered(() => connection.flush(), undefined, {
    forMs: busLimits.startWaitMs,
    for: `the endpoints of ${definition.name}`,
  });
  running.requireSubscribed();
  return running;
}

type Statistics = { requests: number; errors: number; lastError: string; processingNanoseconds: number };

class RunningService implements Service {
  readonly #connection: NatsConnection;
  readonly #definition: ServiceDefinition;
  readonly #id = randomBytes(11).toString('hex');
  readonly #started = new Date().toISOString();
  readonly #statistics = new Map<Endpoint, Statistics>();
  readonly #metadata = new Map<Endpoint, Record<string, string>>();
  readonly #subscriptions: { heardByAll: boolean; subscription: Subscription }[] = [];
  readonly #inProgress = new Set<Promise<void>>();
  readonly #refusals: CoppiceError[] = [];

  constructor(connection: NatsConnection, definition: ServiceDefinition) {
    this.#connection = connection;
    this.#definition = definition;
    for (const endpoint of definition.endpoints) {
      this.#statistics.set(endpoint, { requests: 0, errors: 0, lastError: '', processingNanoseconds: 0 });
      const { subject, heardByAll } = endpoint;
      const subscription = connection.subscribe(subject, {
        ...(heardByAll ? {} : { queue: queueGroup }),
        callback: (error, message) => {
          if (error !== null) this.#refuse(error, subject);
          else this.#track(this.#answer(endpoint, message));
        },
      });
      this.#subscriptions.push({ heardByAll, subscription });
    }
    for (const verb of protocolVerbs) {
      for (const subject of servicesProtocolSubjects(verb, definition.name, this.#id)) {
        const subscription = connection.subscribe(subject, {
          callback: (error, message) => {
            if (error === null) message.respond(JSON.stringify(this.#describe(verb)));
            else this.#refuse(error, subject);
          },
        });
        this.#subscriptions.push({ heardByAll: false, subscription });
      }
    }
  }

  /** @throws CoppiceError `permission-denied` when a subscription was refused. */
  requireSubscribed(): void {
    const [refusal] = this.#refusals;
    if (refusal !== undefined) throw refusal;
  }

  #refuse(error: Error, subject: string): void {
    log.error({ err: error, subject }, 'subscription failed');
    this.#refusals.push(new CoppiceError('permission-denied', `this user may not serve ${subject}`, { cause: error }));
  }

  /**
   * Stops accepting requests. Resolves when the requests in progress are answered. Endpoints with `heardByAll` still
   * accept requests until then, since these may concern requests in progress.
   */
  async stop(): Promise<void> {
    await this.#drain(false);
    await this.#drain(true);
  }

  async #drain(heardByAll: boolean): Promise<void> {
    const those = this.#subscriptions.filter((each) => each.heardByAll === heardByAll);
    await Promise.all(those.map(({ subscription }) => subscription.drain()));
    await Promise.all(this.#inProgress);
  }

  #track(answering: Promise<void>): void {
    // The answer can't be sent if the connection is closed, so the error is only logged.
    const work = answering.catch((error: unknown) => log.error({ err: error }, 'request not answered'));
    this.#inProgress.add(work);
    void work.finally(() => this.#inProgress.delete(work));
  }

  async #answer(endpoint: Endpoint, message: Msg): Promise<void> {
    const statistics = this.#statistics.get(endpoint) as Statistics;
    const start = process.hrtime.bigint();
    statistics.requests++;
    const parent = extractTrace(headersOf(message.headers));
    const spanAttributes = {
      [attributes.messagingSystemName]: messagingSystemNats,
      [attributes.messagingOperationName]: messagingOperations.serve,
      [attributes.messagingOperationType]: 'process',
      [attributes.messagingDestinationTemplate]: endpoint.subject,
      [attributes.messagingDestinationName]: message.subject,
      ...(isOfApi(endpoint) ? { [attributes.coppiceTenant]: tenantOf(message.subject) } : {}),
    };
    await withSpan(
      `${messagingOperations.serve} ${endpoint.subject}`,
      { kind: SpanKind.SERVER, parent, attributes: spanAttributes },
      async (span) => {
        const answer = new Answer(this.#connection, message, endpoint.method.name);
        try {
          const output = await handle(endpoint, message, answer);
          if (output !== undefined) answer.send(output);
        } catch (error) {
          recordError(span, error);
          const wire = toWireError(error);
          statistics.errors++;
          statistics.lastError = `${wire.code}: ${wire.message}`;
          if (!(error instanceof CoppiceError)) log.error({ err: error, subject: message.subject }, 'request failed');
          answer.fail(wire);
        }
      },
    );
    statistics.processingNanoseconds += Number(process.hrtime.bigint() - start);
  }

  /**
   * Returns an endpoint's description, and its input and output as JSON Schemas of draft 7. The protocol allows only
   * strings as values, so each schema is a JSON text.
   */
  #metadataOf(endpoint: Endpoint): Record<string, string> {
    const { description, input, output } = endpoint.method;
    const metadata = this.#metadata.get(endpoint) ?? {
      description,
      'schema.request': JSON.stringify(jsonSchemaOf(input)),
      'schema.response': JSON.stringify(jsonSchemaOf(output)),
    };
    this.#metadata.set(endpoint, metadata);
    return metadata;
  }

  #describe(verb: 'PING' | 'INFO' | 'STATS'): object {
    const { name, version, description, endpoints } = this.#definition;
    const common = {
      type: `io.nats.micro.v1.${verb.toLowerCase()}_response`,
      name,
      id: this.#id,
      version,
      metadata: {},
    };
    const endpointName = (endpoint: Endpoint) => endpoint.method.name.replaceAll('.', '-');
    if (verb === 'PING') return common;
    if (verb === 'INFO') {
      const advertised = endpoints.map((endpoint) => ({
        name: endpointName(endpoint),
        subject: endpoint.subject,
        queue_group: queueGroupOf(endpoint),
        metadata: this.#metadataOf(endpoint),
      }));
      return { ...common, description, endpoints: advertised };
    }
    const counted = endpoints.map((endpoint) => {
      const statistics = this.#statistics.get(endpoint) as Statistics;
      return {
        name: endpointName(endpoint),
        subject: endpoint.subject,
        queue_group: queueGroupOf(endpoint),
        num_requests: statistics.requests,
        num_errors: statistics.errors,
        last_error: statistics.lastError,
        processing_time: statistics.processingNanoseconds,
        average_processing_time:
          statistics.requests === 0 ? 0 : Math.round(statistics.processingNanoseconds / statistics.requests),
      };
    });
    return { ...common, started: this.#started, endpoints: counted };
  }
}

const isOfApi = ({ subject }: Endpoint): boolean => subject.startsWith('coppice.api.');

/** The protocol uses an empty string for no queue group. */
const queueGroupOf = ({ heardByAll }: Endpoint): string => (heardByAll ? '' : queueGroup);

const { requestValuesMax: valuesMax, requestDepthMax: depthMax } = busLimits;
const jsonLimits = { valuesMax, depthMax };

/** Parses JSON from other services. It needs no strict checks, since JSON.stringify wrote it. */
function parseOwnJson(data: Uint8Array, what: string): unknown {
  requireSmallJson(data, what, jsonLimits);
  return parseJson(data, what);
}

async function handle(endpoint: Endpoint, message: Msg, answer: Answer): Promise<unknown> {
  const { method } = endpoint;
  const isPublic = isOfApi(endpoint);
  const body = isPublic
    ? parseStrictJson(message.data, method.name, jsonLimits)
    : parseOwnJson(message.data, method.name);
  const input = validate(method.input, body, method.name);
  const tenant = isPublic ? validate(tenantSchema, tenantOf(message.subject), 'the tenant in the subject') : null;
  return endpoint.handler(input, { tenant, subject: message.subject }, answer);
}
