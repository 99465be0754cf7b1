import { DeliverPolicy, JetStreamApiError } from './nats.ts';
import type { JetStreamClient, JetStreamManager } from './nats.ts';
import { headersOf } from './consume.ts';
import { reaching } from './unreachable.ts';
import { parseJson } from './validate.ts';

export type ReadOptions = {
  /** Default: from the first message that is stored. */
  startSequence?: number;
  /** Only what is stored from now on; with `live`. */
  newOnly?: boolean;
  /** Only the last message of each subject. */
  lastPerSubject?: boolean;
  /** Go on with what comes; without it the reading ends when it has caught up. */
  live?: boolean;
  /** Ends a live reading. */
  signal?: AbortSignal;
};

export type StoredMessage = {
  subject: string;
  sequence: number;
  publishedAt: Date;
  headers: Record<string, string>;
  data: Uint8Array;
  json(): unknown;
};

/**
 * The messages of a subject (wildcards allowed), in order, without consuming them; a reconnect goes on where it was.
 * @throws CoppiceError `unavailable` when the server doesn't answer.
 */
export async function* read(
  jetStream: JetStreamClient,
  manager: JetStreamManager,
  stream: string,
  subject: string,
  options: ReadOptions,
): AsyncIterable<StoredMessage> {
  const deliverPolicy =
    options.newOnly === true
      ? DeliverPolicy.New
      : options.lastPerSubject === true
        ? DeliverPolicy.LastPerSubject
        : DeliverPolicy.All;
  const position =
    options.startSequence === undefined
      ? { deliver_policy: deliverPolicy }
      : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: options.startSequence };
  const what = `${subject} can't be read`;
  // As a text, not a list: only then the request to make the consumer names its filter, which is what users of the bus are permitted.
  const consumer = await reaching(jetStream.consumers.get(stream, { filter_subjects: subject, ...position }), what);
  let pending = (await reaching(consumer.info(), what)).num_pending;
  if (pending === 0 && options.live !== true) return;
  const messages = await consumer.consume();
  const stop = () => messages.stop();
  options.signal?.addEventListener('abort', stop, { once: true });
  if (options.signal?.aborted === true) stop();
  try {
    for await (const message of messages) {
      pending = message.info.pending;
      yield {
        subject: message.subject,
        sequence: message.seq,
        publishedAt: message.time,
        headers: headersOf(message.headers),
        data: message.data,
        json: () => parseJson(message.data, `message on ${message.subject}`),
      };
      if (pending === 0 && options.live !== true) break;
    }
  } finally {
    options.signal?.removeEventListener('abort', stop);
    messages.stop();
    await manager.consumers.delete(stream, (await consumer.info(true).catch(() => null))?.name ?? '').catch(() => {
      // An ordered consumer is ephemeral: the server removes it by itself when this comes too late.
    });
  }
}

const noMessageFound = 10037;

/**
 * The messages of a subject of a work queue, in order, one request each: a work queue allows no reading consumer beside its own.
 * What is stored after the reading began is read too.
 */
export async function* browse(
  manager: JetStreamManager,
  stream: string,
  subject: string,
): AsyncIterable<StoredMessage> {
  let sequence = 1;
  for (;;) {
    // The server's API takes the two together; the client's type doesn't say so.
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

/** Whether a work queue still holds the message of a sequence: it is gone once acknowledged. */
export async function isStored(manager: JetStreamManager, stream: string, sequence: number): Promise<boolean> {
  try {
    return (await manager.streams.getMessage(stream, { seq: sequence })) !== null;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === noMessageFound) return false;
    throw error;
  }
}
