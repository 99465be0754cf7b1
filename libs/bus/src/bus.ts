import coerce from 'semver/functions/coerce.js';
import lt from 'semver/functions/lt.js';
import { CoppiceError, buckets } from '@coppice/contracts';
import { createLogger, injectTrace } from '@coppice/telemetry';
import type { StoredContext } from '@coppice/telemetry';
import { call } from './call.ts';
import type { CallTarget } from './call.ts';
import { ConnectionWatch } from './connection-watch.ts';
import { callStreamed } from './call-streamed.ts';
import type { StreamedCall } from './call-streamed.ts';
import { consume } from './consume.ts';
import type { ConsumeOptions, Consumption, Delivery } from './consume.ts';
import { serve } from './serve.ts';
import type { Service, ServiceDefinition } from './serve.ts';
import { UnsuitableServer } from './errors.ts';
import { KeyValue } from './key-value.ts';
import { busLimits } from './limits.ts';
import { createInbox, headers, jetstream, jetstreamManager } from './nats.ts';
import type { JetStreamClient, JetStreamManager, JetStreamPublishOptions, MsgHdrs, NatsConnection } from './nats.ts';
import { ObjectStore } from './object-store.ts';
import { openConnection } from './open-connection.ts';
import { inPublishSpan } from './publish-span.ts';
import { serveTenantConsumers } from './tenant-consumers/serve.ts';
import { readQueues } from './queues.ts';
import type { Queue } from './queues.ts';
import { browse, isStored, read } from './read.ts';
import type { ReadOptions, StoredMessage } from './read.ts';
import { awaitResources, ensureResources, keyValueStream, objectStream, openStore, readFullness } from './resources.ts';
import type { ResourceOptions } from './resources.ts';
import type { Method } from '@coppice/contracts';

/** The first version with scheduled messages and per-message time to live; older servers ignore some options silently. */
export const serverVersionMin = '2.12.0';

export type BusOptions = {
  /** One or more addresses, separated by commas. */
  servers: string;
  /** Name in the server's connection list. */
  name: string;
  user?: string;
  password?: string;
  /** The seed (`SU…`) of an nkey, instead of user and password. */
  nkeySeed?: string;
  /** Prefix of reply subjects, for a user that may subscribe only to its own. */
  inboxPrefix?: string;
  tls?: TlsFiles;
  /**
   * Time in milliseconds after which a process that doesn't refresh its key counts as lost. It must be the same for all processes of a stack. Default
   * `busLimits.lostAfterMs`.
   */
  lostAfterMs?: number;
};

/** Paths of PEM files. With this option, even as `{}`, the client refuses an unencrypted connection. */
export type TlsFiles = {
  /** Certificate authorities to trust. Default: those of the system. */
  caFile?: string;
  /** The client's certificate, for a server that asks for one. */
  certFile?: string;
  keyFile?: string;
};

export type PublishOptions = {
  /** The server drops a second message with the same id within two minutes. */
  messageId?: string;
  expectedLastSubjectSequence?: number;
  /** The server delivers the message to `target`, a subject of the same stream, at the time `at`. A second schedule on the same subject replaces the first. */
  schedule?: { at: Date; target: string };
  ttlMs?: number;
  headers?: Record<string, string>;
  /** The subject with `*` for each token that is an id. If it is given, the publish gets its own span: see publish-span.ts. */
  template?: string;
  /** With `template`: the trace context that becomes the span's parent. The current trace context then becomes a link. */
  parent?: StoredContext;
};

export type PublishResult = { sequence: number; duplicate: boolean };

const log = createLogger('bus');

/** One connection to NATS, with the operations that Coppice needs. */
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
   * Connects and checks that the server supports what Coppice needs.
   * @throws UnsuitableServer when the server is too old or has no JetStream; CoppiceError `unavailable` when no server answers, `permission-denied` when it refuses the user.
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
        // A tenant's user has no permission to request the account's information.
        if (isDenied(cause)) return jetstreamManager(connection, { ...settings, checkAPI: false });
        if (hasNoJetStream(cause))
          throw new UnsuitableServer(
            `the NATS server at ${options.servers} has no JetStream for this user: start it with -js (or a jetstream block)`,
            { cause },
          );
        // JetStream doesn't answer, for instance, while the servers of a cluster elect their first leader.
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

  /** The server's limit on one message, in bytes, headers included. */
  get payloadBytesMax(): number {
    return this.#connection.info?.max_payload ?? 1024 * 1024;
  }

  /** Resolves when the connection is finally closed. The value is the error that closed it, if there was one. */
  get closed(): Promise<Error | undefined> {
    return this.#connection.closed().then((error) => error ?? undefined);
  }

  /** Drains the connection, then closes it. If draining fails, the connection is closed at once; it is closed after `drainConnectionMs` in any case. */
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

  /** Stores a message; resolves when the server has stored it. @throws CoppiceError `limit-exceeded` when it is too large. */
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

  /** Removes all messages of a subject, which also cancels a schedule. @returns the number removed */
  async purge(stream: string, subject: string): Promise<number> {
    const { purged } = await this.#manager.streams.purge(stream, { filter: subject });
    return purged;
  }

  async deleteMessage(stream: string, sequence: number): Promise<void> {
    await this.#manager.streams.deleteMessage(stream, sequence);
  }

  /** Returns true while a work queue holds the message with this sequence. An acknowledged message is removed. */
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

  /** See read.ts. Works on a work queue, where `read` is not possible. */
  browse(stream: string, subject: string): AsyncIterable<StoredMessage> {
    return browse(this.#manager, stream, subject);
  }

  /** Counts the messages that a durable consumer has not delivered yet, and the messages that it has delivered but that are not acknowledged. */
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

  /** Number of messages in a stream. */
  async storedMessages(stream: string): Promise<number> {
    return (await this.#manager.streams.info(stream)).state.messages;
  }

  /** The sequence of the last message that was stored in a stream; 0 if there was none. Deletions don't lower it. */
  async lastSequence(stream: string): Promise<number> {
    return (await this.#manager.streams.info(stream)).state.last_seq;
  }

  /** Publishes on a core subject: at most once, to the current subscribers. */
  publishCore(subject: string, data: Uint8Array | object, extraHeaders: Record<string, string> = {}): void {
    this.#connection.publish(subject, this.#encode(data, subject), {
      headers: headersFrom(injectTrace({ ...extraHeaders })),
    });
  }

  /** Subscribes to a core subject. */
  subscribeCore(subject: string, handler: (data: Uint8Array, subject: string) => void): { unsubscribe(): void } {
    const subscription = this.#connection.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) handler(message.data, message.subject);
        else log.warn({ err: error, subject }, 'subscription failed');
      },
    });
    return { unsubscribe: () => subscription.unsubscribe() };
  }

  /** Resolves when the server has processed everything that was sent so far, so that every earlier subscription is active. */
  flush(): Promise<void> {
    return this.#connection.flush();
  }

  /**
   * Calls the handler each time the connection is lost, even when a reconnect follows. Messages that were sent just before may be lost, and a restarted server
   * no longer delivers pending answers across accounts.
   * @returns a function that removes the handler
   */
  onLoss(handler: () => void): () => void {
    return this.#watch.onLoss(handler);
  }

  /** Calls the handler after each reconnect. @returns a function that removes the handler */
  onReconnect(handler: () => void): () => void {
    return this.#watch.onReconnect(handler);
  }

  get isConnected(): boolean {
    return this.#watch.isConnected;
  }

  /** Returns a new subject for one answer. */
  newInbox(): string {
    return createInbox(this.#inboxPrefix);
  }

  /** Request/reply without a schema; services use `call`. */
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

  /** @throws CoppiceError `unavailable` when the bucket does not exist yet. */
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

/** Checks the name, because the client doesn't export the error's class. */
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
