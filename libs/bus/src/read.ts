/**
 * Reads a stream without consuming it.
 *
 * Invariants:
 * 1. Each message is yielded once and in order, even if messages are lost in transit. The reader compares the server's
 *    delivery count with the number of received messages. If the numbers differ or the consumer no longer exists, the
 *    reader continues after the last message with a new consumer.
 * 2. The subject of the request that creates a consumer contains the filter, since users of the bus may send only such
 *    requests. No request concerns the stream itself.
 * 3. A consumer's name is random, since only the secret name protects a tenant's consumers from other tenants.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';
import { headersOf } from './consume.ts';
import { busLimits } from './limits.ts';
import { AckPolicy, DeliverPolicy, JetStreamApiError, errors } from './nats.ts';
import type { ConsumerInfo, JetStreamClient, JetStreamManager, JsMsg, NatsConnection } from './nats.ts';
import { reaching, unreachable } from './unreachable.ts';
import { parseJson } from './validate.ts';

export type ReadOptions = {
  /** Sequence of the first message to read. Default: the first stored message. */
  startSequence?: number;
  /** Reads only messages that are stored from now on. Used with `live`. */
  newOnly?: boolean;
  /** Waits for new messages. Without this option the read ends after the last stored message. */
  live?: boolean;
  /** Ends the read. */
  signal?: AbortSignal;
  /** Number of messages pulled at once. Default: `busLimits.readBatch`. */
  batch?: number;
  /** The server sends only the headers of the messages. */
  headersOnly?: boolean;
};

/** Reads the messages of a subject of one stream. */
export type ReadSubject = (subject: string, options: ReadOptions) => AsyncIterable<StoredMessage>;

export type StoredMessage = {
  subject: string;
  sequence: number;
  publishedAt: Date;
  headers: Record<string, string>;
  data: Uint8Array;
  json(): unknown;
};

type Server = { connection: NatsConnection; jetStream: JetStreamClient; manager: JetStreamManager };

/**
 * Yields the messages of a subject in order. The subject may have wildcards. After a reconnect the read continues after
 * the last yielded message.
 * @throws CoppiceError `unavailable` when the server doesn't answer
 */
export async function* read(
  { connection, jetStream, manager }: Server,
  stream: string,
  subject: string,
  options: ReadOptions,
): AsyncIterable<StoredMessage> {
  const { headersOnly = false } = options;
  const make = (start: Start) => makeConsumer(manager, { stream, subject, headersOnly, start });
  const what = `${subject} can't be read`;
  const made = await reaching(make(startOf(options)), what).catch((error: unknown) => {
    if (!isFull(error)) throw error;
    return again(connection, () => make(startOf(options)), { ...options, what });
  });
  if (made === null) return;
  let info = made;
  let last = info.delivered.stream_seq;
  try {
    for (let failures = 0; ;) {
      try {
        for await (const message of deliveries(jetStream, info, options)) {
          failures = 0;
          last = message.seq;
          yield storedMessage(message);
        }
        return;
      } catch (error) {
        if (options.live === true && isClosed(error)) return;
        if (isClosed(error) || isRefusal(error)) throw unreachable(error, what);
        if (options.live !== true && ++failures > busLimits.readFailuresMax) throw unavailable(error, what);
      }
      deleteConsumer(manager, info);
      const behind = { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: last + 1 };
      const next = await again(connection, () => make(behind), { ...options, what });
      if (next === null) return;
      info = next;
    }
  } finally {
    deleteConsumer(manager, info);
  }
}

type Start = { deliver_policy: DeliverPolicy; opt_start_seq?: number };

const startOf = ({ startSequence, newOnly }: ReadOptions): Start =>
  startSequence === undefined
    ? { deliver_policy: newOnly === true ? DeliverPolicy.New : DeliverPolicy.All }
    : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: startSequence };

const nameBytes = 16;
const nanoseconds = 1_000_000;

function makeConsumer(
  manager: JetStreamManager,
  { stream, subject, headersOnly, start }: { stream: string; subject: string; headersOnly: boolean; start: Start },
): Promise<ConsumerInfo> {
  return manager.consumers.add(stream, {
    name: `read-${randomBytes(nameBytes).toString('hex')}`,
    filter_subject: subject,
    headers_only: headersOnly,
    ack_policy: AckPolicy.None,
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: busLimits.readerIdleMs * nanoseconds,
    ...start,
  });
}

/** Deletes the consumer. A failure is ignored, since the server also removes an idle consumer. */
function deleteConsumer(manager: JetStreamManager, { stream_name, name }: ConsumerInfo): void {
  manager.consumers.delete(stream_name, name).catch(() => {});
}

/**
 * Yields the messages of one consumer until the read ends.
 * @throws Error when messages are missing, so that the caller continues with a new consumer
 */
async function* deliveries(
  jetStream: JetStreamClient,
  made: ConsumerInfo,
  { live, signal, batch = busLimits.readBatch }: ReadOptions,
): AsyncIterable<JsMsg> {
  const consumer = jetStream.consumers.getConsumerFromInfo(made);
  const isEnded = () => signal?.aborted === true;
  const isCaughtUp = (pending: number) => pending === 0 && live !== true;
  let pending = made.num_pending;
  let count = 0;
  while (!isEnded() && !isCaughtUp(pending)) {
    const messages = await consumer.fetch({ max_messages: batch, expires: busLimits.readPullMs });
    const stop = () => messages.stop();
    signal?.addEventListener('abort', stop, { once: true });
    try {
      for await (const message of messages) {
        if (message.info.deliverySequence !== ++count) throw new Error('a message is missing');
        pending = message.info.pending;
        yield message;
        if (isCaughtUp(pending)) return;
      }
    } finally {
      signal?.removeEventListener('abort', stop);
      stop();
    }
    if (isEnded()) return;
    const now = await consumer.info();
    if (now.delivered.consumer_seq !== count) throw new Error('the last message is missing');
    pending = now.num_pending;
  }
}

/**
 * Creates a new consumer. Null if the read ended first. A live read waits for the server without limit, and any other
 * read for `publishTimeoutMs`.
 */
async function again(
  connection: NatsConnection,
  make: () => Promise<ConsumerInfo>,
  { live, signal, what }: ReadOptions & { what: string },
): Promise<ConsumerInfo | null> {
  const end = Date.now() + busLimits.publishTimeoutMs;
  for (;;) {
    // An abort only ends the pause, since the next line handles it.
    await sleep(busLimits.readAgainMs, undefined, signal === undefined ? {} : { signal }).catch(() => {});
    if (signal?.aborted === true) return null;
    try {
      // Fails at once if there is no connection. The request that creates the consumer would wait for a connection.
      await connection.rtt();
      return await make();
    } catch (error) {
      if (live === true && isClosed(error)) return null;
      const isLate = live !== true && Date.now() > end;
      if (isLate && isFull(error)) throw unavailable(error, what);
      if (isLate || isClosed(error) || isRefusal(error)) throw unreachable(error, what);
    }
  }
}

const isClosed = (error: unknown): boolean =>
  error instanceof errors.ClosedConnectionError || error instanceof errors.DrainingConnectionError;

const consumerNotFound = 10014;
/**
 * Error code if the stream has its maximum number of consumers. A retry may succeed, since other readers delete their
 * consumers.
 */
const consumersAtMost = 10026;
const ownFault = 500;
/** True if a retry would get the same error. */
const isRefusal = (error: unknown): boolean =>
  error instanceof CoppiceError ||
  (error instanceof JetStreamApiError && error.status < ownFault && error.code !== consumerNotFound && !isFull(error));
const isFull = (error: unknown): boolean => error instanceof JetStreamApiError && error.code === consumersAtMost;

const unavailable = (cause: unknown, what: string): CoppiceError =>
  new CoppiceError('unavailable', `${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });

const storedMessage = (message: JsMsg): StoredMessage => ({
  subject: message.subject,
  sequence: message.seq,
  publishedAt: message.time,
  headers: headersOf(message.headers),
  data: message.data,
  json: () => parseJson(message.data, `message on ${message.subject}`),
});

const noMessageFound = 10037;

/**
 * Yields the messages of a subject of a work queue in order, including messages that are stored during the read. Sends
 * one request per message, since a work queue allows no second consumer for reading.
 */
export async function* browse(
  manager: JetStreamManager,
  stream: string,
  subject: string,
): AsyncIterable<StoredMessage> {
  let sequence = 1;
  for (;;) {
    // The server accepts `seq` and `next_by_subj` together, but the client's type doesn't.
    const next = { seq: sequence, next_by_subj: subject } as { seq: number };
    const stored = await manager.streams.getMessage(stream, next).catch((error: unknown) => {
      if (error instanceof JetStreamApiError && error.code === noMessageFound) return null;
      throw error;
    });
    if (stored === null) return;
    yield {
      subject: stored.subject,
      sequence: stored.seq,
      publishedAt: stored.time,
      headers: headersOf(stored.header),
      data: stored.data,
      json: () => parseJson(stored.data, `message on ${stored.subject}`),
    };
    sequence = stored.seq + 1;
  }
}

/** Returns true until the message is acknowledged, since a work queue then removes it. */
export async function isStored(manager: JetStreamManager, stream: string, sequence: number): Promise<boolean> {
  try {
    return (await manager.streams.getMessage(stream, { seq: sequence })) !== null;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === noMessageFound) return false;
    throw error;
  }
}
