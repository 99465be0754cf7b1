import coerce from 'semver/functions/coerce.js';
import lt from 'semver/functions/lt.js';
import { CoppiceError, buckets } from '@coppice/contracts';
import { createLogger, injectTrace } from '@coppice/telemetry';
import type { StoredContext } from '@coppice/telemetry';
import { call, type CallTarget } from './call.ts';
import { ConnectionWatch } from './connection-watch.ts';
import { callStreamed, type StreamedCall } from './call-streamed.ts';
import { consume, type ConsumeOptions, type Consumption, type Delivery } from './consume.ts';
import { serve, type Service, type ServiceDefinition } from './serve.ts';
import { UnsuitableServer } from './errors.ts';
import { KeyValue } from './key-value.ts';
import { busLimits } from './limits.ts';
import { createInbox, headers, jetstream, jetstreamManager } from './nats.ts';
import type { JetStreamClient, JetStreamManager, JetStreamPublishOptions, MsgHdrs, NatsConnection } from './nats.ts';
import { ObjectStore } from './object-store.ts';
import { openConnection } from './open-connection.ts';
import { inPublishSpan } from './publish-span.ts';
import { serveTenantConsumers } from './tenant-consumers/serve.ts';
import { readQueues, type Queue } from './queues.ts';
import { browse, isStored, read, type ReadOptions, type StoredMessage } from './read.ts';
import { awaitResources, ensureResources, keyValueStream, objectStream, openStore, readFullness } from './resources.ts';
import type { ResourceOptions } from './resources.ts';
import type { Method } from '@coppice/contracts';

/**
 * Lowest supported version of the server. Older servers silently ignore scheduled messages or per-message time to live.
 */
export const serverVersionMin = '2.12.0';

export type BusOptions = {
  /** One or more addresses, separated by commas. */
  servers: string;
  /** Name in the server's list of connections. */
  name: string;
  user?: string;
  password?: string;
  /** Seed of an nkey (`SU…`), instead of user and password. */
  nkeySeed?: string;
  /** Prefix of reply subjects. Needed if the user may subscribe only to reply subjects with its own prefix. */
  inboxPrefix?: string;
  tls?: TlsFiles;
  /**
   * Time after which a process that doesn't refresh its key counts as lost. All processes of a stack must use the same
   * value. Default: `busLimits.lostAfterMs`.
   */
  lostAfterMs?: number;
};

/** Paths of PEM files. If this object is given, even an empty one, the client refuses an unencrypted connection. */
export type TlsFiles = {
  /** Certificates of the trusted authorities. Default: the authorities that the system trusts. */
  caFile?: string;
  /** The client's certificate, if the server requires one. */
  certFile?: string;
  keyFile?: string;
};

export type PublishOptions = {
  /** Id for deduplication. The server drops a second message with the same id within two minutes. */
  messageId?: string;
  expectedLastSubjectSequence?: number;
  /**
   * The server delivers the message to `target` at the time `at`. `target` must belong to the same stream. A second
   * schedule on the same subject replaces the first.
   */
  schedule?: { at: Date; target: string };
  ttlMs?: number;
  headers?: Record<string, string>;
  /**
   * The subject with `*` in place of each id. If a template is given, the message is published in its own span (see
   * publish-span.ts).
   */
  template?: string;
  /** Parent of the span that `template` starts. The current trace context becomes a link of the span. */
  parent?: StoredContext;
};

export type PublishResult = { sequence: number; duplicate: boolean };

const log = createLogger('bus');

/** One connection to NATS. */
export class Bus {
  readonly #connection: NatsConnection;
  readonly #jetStream: JetStreamClient;
  readonly #manager: JetStreamManager;
  readonly #watch: ConnectionWatch;
  readonly #inboxPrefix: string | undefined;
  readonly lostAfterMs: number;

  private constructor(
    connection: NatsConnection,
    jetStream: JetStreamClient,
    manager: JetStreamManager,
    watch: ConnectionWatch,
    options: BusOptions,
  ) {
    this.#watch = watch;
    this.#connection = connection;
    this.#jetStream = jetStream;
    this.#manager = manager;
    this.lostAfterMs = options.lostAfterMs ?? busLimits.lostAfterMs;
    this.#inboxPrefix = options.inboxPrefix;
  }

  /**
   * Connects, and checks the server's version and JetStream.
   * @throws UnsuitableServer when the server is too old or has no JetStream
   * @throws CoppiceError `unavailable` when no server answers
   * @throws CoppiceError `permission-denied` when the server refuses the user
   */
  static async connect(options: BusOptions): Promise<Bus> {
    const opened = await openConnection(options);
    const watch = new ConnectionWatch(opened);
    const connection = watch.watched(opened);
    try {
      requireVersion(connection.info?.version ?? '0.0.0');
      const settings = { timeout: busLimits.publishTimeoutMs };
      const jetStream = jetstream(connection, settings);
      const manager = await jetstreamManager(connection, settings).catch((cause: unknown) => {
        // A tenant's user may not read the account's information.
        if (isDenied(cause)) return jetstreamManager(connection, { ...settings, checkAPI: false });
        if (hasNoJetStream(cause))
          throw new UnsuitableServer(
            `the NATS server at ${options.servers} has no JetStream for this user: start it with -js (or a jetstream block)`,
            { cause },
          );
        // For example, JetStream doesn't answer until the servers of a new cluster have elected a leader.
        const text = `JetStream at ${options.servers} does not answer: ${cause instanceof Error ? cause.message : String(cause)}`;
        throw new CoppiceError('unavailable', text, { cause });
      });
      return new Bus(connection, jetStream, manager, watch, options);
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  get serverVersion(): string {
    return this.#connection.info?.version ?? '';
  }

  /** Maximum size of one message in bytes, with its headers. The server sets it. */
  get payloadBytesMax(): number {
    return this.#connection.info?.max_payload ?? 1024 * 1024;
  }

  /**
   * Resolves when the connection is closed and no reconnect will follow. The value is the error that closed it, if any.
   */
  get closed(): Promise<Error | undefined> {
    return this.#connection.closed().then((error) => error ?? undefined);
  }

  /**
   * Drains the connection, then closes it. Closes it at once if draining fails or takes longer than
   * `drainConnectionMs`.
   */
  async close(): Promise<void> {
    if (this.#connection.isClosed()) return;
    const drained = this.#connection.drain().then(
      () => true,
      () => false,
    );
    const late = new Promise<false>((resolve) => setTimeout(() => resolve(false), busLimits.drainConnectionMs).unref());
    if (!(await Promise.race([drained, late]))) await this.#connection.close();
  }

  ensureResources(options: ResourceOptions = {}): Promise<void> {
    return ensureResources(this.#jetStream, this.#manager, this.keyValue(buckets.effects), options);
  }

  /** See resources.ts. */
  awaitResources(options: { waitMs: number; signal?: AbortSignal }): Promise<void> {
    return awaitResources(this.#manager, options);
  }

  /** See call.ts. */
  call<Input, Output>(
    method: Method & { input: { _zod: { input: Input } }; output: { _zod: { output: Output } } },
    target: CallTarget,
    input: Input,
    options: { deadlineMs?: number } = {},
  ): Promise<Output> {
    return call(this, method, target, input, options) as Promise<Output>;
  }

  /** See call-streamed.ts. */
  callStreamed<Message>(about: Omit<StreamedCall<Message>, 'inbox'>): AsyncGenerator<Message, void, undefined> {
    return callStreamed(this.#connection, { ...about, inbox: this.newInbox() });
  }

  /** See serve.ts. */
  serve(definition: ServiceDefinition): Promise<Service> {
    return serve(this.#connection, definition);
  }

  /** See tenant-consumers/serve.ts. */
  serveTenantConsumers(): Promise<Service> {
    return serveTenantConsumers(this.#connection, this.#manager);
  }

  /**
   * Publishes a message. Resolves when the server has stored it.
   * @throws CoppiceError `limit-exceeded` when the message is too large
   */
  async publish(subject: string, data: Uint8Array | object, options: PublishOptions = {}): Promise<PublishResult> {
    const bytes = this.#encode(data, subject);
    const { template, parent } = options;
    if (template === undefined) return this.#store(subject, bytes, options);
    const place = { template, subject, bytes: bytes.length, parent };
    return inPublishSpan(place, () => this.#store(subject, bytes, options));
  }

  async #store(subject: string, data: Uint8Array, options: PublishOptions): Promise<PublishResult> {
    const { messageId, expectedLastSubjectSequence, schedule, ttlMs } = options;
    const publishOptions: Partial<JetStreamPublishOptions> = {
      headers: headersFrom(injectTrace({ ...options.headers })),
      timeout: busLimits.publishTimeoutMs,
    };
    if (messageId !== undefined) publishOptions.msgID = messageId;
    if (expectedLastSubjectSequence !== undefined)
      publishOptions.expect = { lastSubjectSequence: expectedLastSubjectSequence };
    if (ttlMs !== undefined) publishOptions.ttl = `${Math.max(1, Math.ceil(ttlMs / 1_000))}s`;
    if (schedule !== undefined)
      publishOptions.schedule = { specification: { at: schedule.at }, target: schedule.target };
    const published = await this.#jetStream.publish(subject, data, publishOptions);
    return { sequence: published.seq, duplicate: published.duplicate };
  }

  /**
   * Removes all messages of a subject. This also cancels a schedule on that subject.
   * @returns the number of removed messages
   */
  async purge(stream: string, subject: string): Promise<number> {
    const { purged } = await this.#manager.streams.purge(stream, { filter: subject });
    return purged;
  }

  async deleteMessage(stream: string, sequence: number): Promise<void> {
    await this.#manager.streams.deleteMessage(stream, sequence);
  }

  /** Returns true until the message is acknowledged, since a work queue then removes it. */
  isStored(stream: string, sequence: number): Promise<boolean> {
    return isStored(this.#manager, stream, sequence);
  }

  /** See consume.ts. */
  async consume(options: ConsumeOptions, handler: (delivery: Delivery) => Promise<void>): Promise<Consumption> {
    const consumption = await consume(this.#jetStream, this.#manager, options, handler, (error) =>
      log.warn({ err: error, durable: options.durable }, 'message not handled'),
    );
    const forget = this.onReconnect(() => consumption.pullAgain());
    return {
      stop: () => {
        forget();
        return consumption.stop();
      },
    };
  }

  /** See read.ts. */
  read(stream: string, subject: string, options: ReadOptions = {}): AsyncIterable<StoredMessage> {
    const server = { connection: this.#connection, jetStream: this.#jetStream, manager: this.#manager };
    return read(server, stream, subject, options);
  }

  /** Also works on a work queue, where `read` isn't possible. See read.ts. */
  browse(stream: string, subject: string): AsyncIterable<StoredMessage> {
    return browse(this.#manager, stream, subject);
  }

  /**
   * Counts a durable consumer's messages. `pending` messages are not delivered yet, and `unacknowledged` ones are
   * delivered but not acknowledged.
   */
  async backlog(stream: string, durable: string): Promise<{ pending: number; unacknowledged: number }> {
    const info = await this.#manager.consumers.info(stream, durable);
    return { pending: info.num_pending, unacknowledged: info.num_ack_pending };
  }

  /** See queues.ts. */
  queues(): Promise<Queue[]> {
    return readQueues(this.#manager);
  }

  /** See resources.ts. */
  fullness(): Promise<{ stream: string; share: number }[]> {
    return readFullness(this.#manager);
  }

  async storedMessages(stream: string): Promise<number> {
    return (await this.#manager.streams.info(stream)).state.messages;
  }

  /** Returns the sequence of the last message that was ever stored in a stream, or 0. Deletions don't lower it. */
  async lastSequence(stream: string): Promise<number> {
    return (await this.#manager.streams.info(stream)).state.last_seq;
  }

  /** Sends a message to the current subscribers of a core subject, at most once. */
  publishCore(subject: string, data: Uint8Array | object, extraHeaders: Record<string, string> = {}): void {
    this.#connection.publish(subject, this.#encode(data, subject), {
      headers: headersFrom(injectTrace({ ...extraHeaders })),
    });
  }

  subscribeCore(subject: string, handler: (data: Uint8Array, subject: string) => void): { unsubscribe(): void } {
    const subscription = this.#connection.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) handler(message.data, message.subject);
        else log.warn({ err: error, subject }, 'subscription failed');
      },
    });
    return { unsubscribe: () => subscription.unsubscribe() };
  }

  /** Resolves when the server has processed all earlier messages and subscriptions of this connection. */
  flush(): Promise<void> {
    return this.#connection.flush();
  }

  /**
   * Calls the handler each time the connection is lost, even if a reconnect follows. The last sent messages may be
   * lost. If the server was restarted, it no longer delivers pending answers across accounts.
   * @returns a function that removes the handler
   */
  onLoss(handler: () => void): () => void {
    return this.#watch.onLoss(handler);
  }

  /** @returns a function that removes the handler */
  onReconnect(handler: () => void): () => void {
    return this.#watch.onReconnect(handler);
  }

  get isConnected(): boolean {
    return this.#watch.isConnected;
  }

  newInbox(): string {
    return createInbox(this.#inboxPrefix);
  }

  /** Sends a request without validating it or its answer. Services use `call`. */
  async request(
    subject: string,
    data: Uint8Array | object,
    options: { deadlineMs: number },
  ): Promise<{ data: Uint8Array; headers: MsgHdrs | undefined }> {
    const message = await this.#connection.request(subject, this.#encode(data, subject), {
      timeout: options.deadlineMs,
      headers: headersFrom(injectTrace({})),
    });
    return { data: message.data, headers: message.headers };
  }

  keyValue(bucket: string): KeyValue {
    return new KeyValue(bucket, this.#jetStream, this.#manager, (subject, options) =>
      this.read(keyValueStream(bucket), subject, options),
    );
  }

  /** @throws CoppiceError `unavailable` when the bucket doesn't exist yet */
  async objects(bucket: string): Promise<ObjectStore> {
    const store = await openStore(this.#jetStream, this.#manager, bucket);
    return new ObjectStore(bucket, store, (subject, options) => this.read(objectStream(bucket), subject, options));
  }

  #encode(data: Uint8Array | object, subject: string): Uint8Array {
    const bytes = data instanceof Uint8Array ? data : new TextEncoder().encode(JSON.stringify(data));
    const bytesMax = this.payloadBytesMax - busLimits.payloadReserveBytes;
    if (bytes.length <= bytesMax) return bytes;
    throw new CoppiceError(
      'limit-exceeded',
      `a message of ${bytes.length} bytes on ${subject} is over the server's limit of ${bytesMax}`,
    );
  }
}

/** Compares the error's name, since the client doesn't export its class. */
const hasNoJetStream = (cause: unknown): boolean => cause instanceof Error && cause.name === 'JetStreamNotEnabled';

const isDenied = (cause: unknown): boolean => cause instanceof CoppiceError && cause.code === 'permission-denied';

/** @throws UnsuitableServer when the server is older than `serverVersionMin`. */
export function requireVersion(version: string): void {
  // A release candidate counts as its release.
  if (lt(coerce(version) ?? '0.0.0', serverVersionMin))
    throw new UnsuitableServer(`NATS server ${version} is too old: Coppice needs ${serverVersionMin} or newer`);
}

function headersFrom(record: Record<string, string>): MsgHdrs {
  const result = headers();
  for (const [name, value] of Object.entries(record)) result.set(name, value);
  return result;
}
