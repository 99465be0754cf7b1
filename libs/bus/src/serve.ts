import { randomBytes } from 'node:crypto';
import {
  CoppiceError,
  jsonSchemaOf,
  messageHeaders,
  subjects,
  tenantOf,
  tenantSchema,
  toWireError,
} from '@coppice/contracts';
import type { Method, WireError } from '@coppice/contracts';
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
import { headersOf } from './consume.ts';
import { busLimits } from './limits.ts';
import { headers } from './nats.ts';
import type { Msg, NatsConnection, Subscription } from './nats.ts';
import { parseJson, validate } from './validate.ts';

/**
 * Request/reply endpoints, advertised by the NATS services protocol (ADR-32): `nats micro ls`, `info` and `stats` work.
 * The published client package for it is a pre-release with a second copy of the core, so the protocol, three subjects, is spoken here.
 */
export type Endpoint = {
  method: Method;
  /** With a wildcard in place of the tenant. */
  subject: string;
  handler(input: unknown, context: RequestContext): Promise<unknown>;
};

export type RequestContext = {
  /** From the subject, where the server's permissions enforce it; null between services. */
  tenant: string | null;
  subject: string;
};

export type ServiceDefinition = { name: string; version: string; description: string; endpoints: Endpoint[] };
export type Service = { stop(): Promise<void> };

type Typed<Input, Output> = Method & { input: { _zod: { output: Input } }; output: { _zod: { input: Output } } };

/** A method of the public API with its handler. */
export const apiEndpoint = <Input, Output>(
  method: Typed<Input, Output>,
  handler: (input: Input, context: { tenant: string; subject: string }) => Promise<Output>,
): Endpoint => ({
  method,
  subject: subjects.apiOfAnyTenant(method.name),
  handler,
});

/** A method for other services with its handler; with `node`, one that is asked of that node. */
export const serviceEndpoint = <Input, Output>(
  service: string,
  method: Typed<Input, Output>,
  handler: (input: Input, context: RequestContext) => Promise<Output>,
  node?: string,
): Endpoint => {
  const subject =
    node === undefined ? subjects.call(service, method.name) : subjects.callOnNode(service, method.name, node);
  return { method, subject, handler };
};

const payloadBytesDefault = 1024 * 1024;
const protocolVerbs = ['PING', 'INFO', 'STATS'] as const;

/** The three subjects of a verb of the services protocol (ADR-32): everybody, those of a name, one. */
const servicesProtocolSubjects = (verb: (typeof protocolVerbs)[number], name: string, id: string): string[] => [
  `$SRV.${verb}`,
  `$SRV.${verb}.${name}`,
  `$SRV.${verb}.${name}.${id}`,
];

/** What a service subscribes to by the protocol, whatever its id. */
export const servicesProtocolFamily = (name: string): string[] =>
  protocolVerbs.flatMap((verb) => servicesProtocolSubjects(verb, name, '*'));

/** The protocol's own default. */
const queueGroup = 'q';
const log = createLogger('bus');

export async function serve(connection: NatsConnection, definition: ServiceDefinition): Promise<Service> {
  const running = new RunningService(connection, definition);
  // The server's refusals come before its answer to the flush.
  await connection.flush();
  running.requireSubscribed();
  return running;
}

type Statistics = { requests: number; errors: number; lastError: string; processingNanoseconds: number };

class RunningService implements Service {
  readonly #definition: ServiceDefinition;
  readonly #id = randomBytes(11).toString('hex');
  readonly #started = new Date().toISOString();
  readonly #statistics = new Map<Endpoint, Statistics>();
  readonly #metadata = new Map<Endpoint, Record<string, string>>();
  readonly #subscriptions: Subscription[] = [];
  readonly #inProgress = new Set<Promise<void>>();
  readonly #payloadBytesMax: number;
  readonly #refusals: CoppiceError[] = [];

  constructor(connection: NatsConnection, definition: ServiceDefinition) {
    this.#definition = definition;
    this.#payloadBytesMax = (connection.info?.max_payload ?? payloadBytesDefault) - busLimits.payloadReserveBytes;
    for (const endpoint of definition.endpoints) {
      this.#statistics.set(endpoint, { requests: 0, errors: 0, lastError: '', processingNanoseconds: 0 });
      this.#subscriptions.push(
        connection.subscribe(endpoint.subject, {
          queue: queueGroup,
          callback: (error, message) => {
            if (error !== null) this.#refuse(error, endpoint.subject);
            else this.#track(this.#answer(endpoint, message));
          },
        }),
      );
    }
    for (const verb of protocolVerbs) {
      for (const subject of servicesProtocolSubjects(verb, definition.name, this.#id)) {
        this.#subscriptions.push(
          connection.subscribe(subject, {
            callback: (error, message) => {
              if (error === null) message.respond(JSON.stringify(this.#describe(verb)));
              else this.#refuse(error, subject);
            },
          }),
        );
      }
    }
  }

  /** @throws CoppiceError `permission-denied` where a subscription was refused. */
  requireSubscribed(): void {
    const [refusal] = this.#refusals;
    if (refusal !== undefined) throw refusal;
  }

  #refuse(error: Error, subject: string): void {
    log.error({ err: error, subject }, 'subscription failed');
    this.#refusals.push(new CoppiceError('permission-denied', `this user may not serve ${subject}`, { cause: error }));
  }

  /** Takes no more requests, and returns when those in progress are answered. */
  async stop(): Promise<void> {
    await Promise.all(this.#subscriptions.map((subscription) => subscription.drain()));
    await Promise.all(this.#inProgress);
  }

  #track(work: Promise<void>): void {
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
    };
    await withSpan(
      `${messagingOperations.serve} ${endpoint.subject}`,
      { kind: SpanKind.SERVER, parent, attributes: spanAttributes },
      async (span) => {
        try {
          message.respond(this.#encode(await handle(endpoint, message), endpoint));
        } catch (error) {
          recordError(span, error);
          const wire = toWireError(error);
          statistics.errors++;
          statistics.lastError = `${wire.code}: ${wire.message}`;
          if (!(error instanceof CoppiceError)) log.error({ err: error, subject: message.subject }, 'request failed');
          respondError(message, wire);
        }
      },
    );
    statistics.processingNanoseconds += Number(process.hrtime.bigint() - start);
  }

  #encode(output: unknown, endpoint: Endpoint): Uint8Array {
    const bytes = new TextEncoder().encode(JSON.stringify(output));
    if (bytes.length <= this.#payloadBytesMax) return bytes;
    const text = `the answer of ${endpoint.method.name} has ${bytes.length} bytes, over the limit of ${this.#payloadBytesMax}`;
    throw new CoppiceError('limit-exceeded', text);
  }

  /**
   * What an endpoint takes and answers, as JSON Schemas of draft 7. Values are text by the protocol, which leaves the keys to the service; a schema is
   * JSON on one line.
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
        queue_group: queueGroup,
        metadata: this.#metadataOf(endpoint),
      }));
      return { ...common, description, endpoints: advertised };
    }
    const counted = endpoints.map((endpoint) => {
      const statistics = this.#statistics.get(endpoint) as Statistics;
      return {
        name: endpointName(endpoint),
        subject: endpoint.subject,
        queue_group: queueGroup,
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

async function handle(endpoint: Endpoint, message: Msg): Promise<unknown> {
  const { method, subject } = endpoint;
  const input = validate(method.input, parseJson(message.data, method.name), method.name);
  const tenant = subject.startsWith('coppice.api.')
    ? validate(tenantSchema, tenantOf(message.subject), 'the tenant in the subject')
    : null;
  return endpoint.handler(input, { tenant, subject: message.subject });
}

function respondError(message: Msg, error: WireError): void {
  const reply = headers();
  reply.set(messageHeaders.errorCode, error.code);
  // A header is one line.
  reply.set(messageHeaders.errorText, error.message.replaceAll(/[\r\n]+/g, ' '));
  message.respond(JSON.stringify({ error }), { headers: reply });
}
