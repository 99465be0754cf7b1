import { AckPolicy, JetStreamApiError } from './nats.ts';
import type { Consumer, ConsumerConfig, JetStreamClient, JetStreamManager, JsMsg } from './nats.ts';
import { busLimits } from './limits.ts';
import { untilAnswered } from './until-answered.ts';
import { parseJson } from './validate.ts';

/**
 * Pulls messages from a work queue. Each slot handles one message at a time.
 *
 * Invariants:
 * 1. A message is pulled only when a slot is free, so its ack wait doesn't pass while it waits in this process.
 * 2. If a handler throws, the message is redelivered after a short pause. If a handler neither acknowledges nor
 *    retries, the message is redelivered after the ack wait.
 * 3. After stop() is called, no message is pulled. stop() resolves when the handlers in progress have ended.
 */
export type ConsumeOptions = {
  stream: string;
  /** Name of the durable consumer. Processes that use the same name share its messages. */
  durable: string;
  /**
   * Exactly one subject. The server's permissions can match it, because the request that creates the consumer then has
   * the filter in its own subject.
   */
  filterSubject: string;
  ackWaitMs: number;
  concurrency: number;
};

export type Delivery = {
  subject: string;
  data: Uint8Array;
  /** @throws CoppiceError `invalid-request` when it isn't JSON. */
  json(): unknown;
  headers: Record<string, string>;
  /** Number of this delivery, starting with 1. */
  deliveryCount: number;
  /** Sequence of the message in its stream. */
  sequence: number;
  publishedAt: Date;
  /**
   * Acknowledges the message. Resolves when the server has confirmed it. A late acknowledgement succeeds too, so
   * success doesn't show that this process is still responsible for the message.
   */
  acknowledge(): Promise<void>;
  /** Returns the message to the queue. It counts as unacknowledged during the delay. */
  retry(delayMs?: number): void;
  /** Restarts the ack wait. */
  working(): void;
  terminate(reason: string): void;
};

export type Consumption = { stop(): Promise<void> };

export async function consume(
  jetStream: JetStreamClient,
  manager: JetStreamManager,
  options: ConsumeOptions,
  handler: (delivery: Delivery) => Promise<void>,
  onError: (error: unknown) => void,
): Promise<Consumption & { pullAgain(): void }> {
  const config = {
    durable_name: options.durable,
    ack_policy: AckPolicy.Explicit,
    ack_wait: options.ackWaitMs * 1_000_000,
    max_ack_pending: busLimits.consumerAckPendingMax,
    max_deliver: -1,
    filter_subject: options.filterSubject,
  };
  const waiting = { forMs: busLimits.startWaitMs, for: `the consumer ${options.durable} of ${options.stream}` };
  await untilAnswered(() => ensureConsumer(manager, options, config), undefined, waiting);
  const consumer = await untilAnswered(
    () => jetStream.consumers.get(options.stream, options.durable),
    undefined,
    waiting,
  );
  const slots = Array.from({ length: options.concurrency }, () => new Slot(consumer, handler, onError));
  const running = slots.map((slot) => slot.run());
  return {
    stop: async () => {
      for (const slot of slots) slot.stop();
      await Promise.all(running);
    },
    // The server loses pull requests when the connection is lost.
    pullAgain: () => {
      for (const slot of slots) slot.pullAgain();
    },
  };
}

async function ensureConsumer(
  manager: JetStreamManager,
  options: ConsumeOptions,
  config: Partial<ConsumerConfig>,
): Promise<void> {
  try {
    await manager.consumers.add(options.stream, config);
  } catch (error) {
    // The consumer has the settings of another version of Coppice. The process that starts last replaces them.
    if (!(error instanceof JetStreamApiError) || error.code !== consumerExists) throw error;
    // An earlier version used a list of filters. It is removed explicitly, since the client keeps fields that an update
    // omits. With a list, the client would use another request subject.
    const withoutList = { ...config, filter_subjects: undefined as unknown as string[] };
    await manager.consumers.update(options.stream, options.durable, withoutList);
  }
}

const pullRetryMs = 500;
const retryMsMin = 50;
const retryMsMax = 10_000;
const consumerExists = 10148;

class Slot {
  readonly #consumer: Consumer;
  readonly #handler: (delivery: Delivery) => Promise<void>;
  readonly #onError: (error: unknown) => void;
  #stopping = false;
  #waiting: { stop(): void } | null = null;

  constructor(consumer: Consumer, handler: (delivery: Delivery) => Promise<void>, onError: (error: unknown) => void) {
    this.#consumer = consumer;
    this.#handler = handler;
    this.#onError = onError;
  }

  async run(): Promise<void> {
    while (!this.#stopping) {
      try {
        const pulled = await this.#consumer.fetch({ max_messages: 1, expires: busLimits.pullExpiresMs });
        if (this.#stopping) {
          pulled.stop();
          return;
        }
        this.#waiting = pulled;
        for await (const message of pulled) {
          this.#waiting = null;
          await this.#handle(message);
        }
      } catch (error) {
        if (this.#stopping) return;
        this.#onError(error);
        await new Promise((resolve) => setTimeout(resolve, pullRetryMs));
      } finally {
        this.#waiting = null;
      }
    }
  }

  stop(): void {
    this.#stopping = true;
    this.pullAgain();
  }

  pullAgain(): void {
    this.#waiting?.stop();
  }

  async #handle(message: JsMsg): Promise<void> {
    try {
      await this.#handler(deliveryOf(message));
    } catch (error) {
      this.#onError(error);
      // The pause grows. Otherwise a message whose handler always fails at once would keep the CPU busy.
      message.nak(Math.min(retryMsMin * 2 ** Math.min(message.info.deliveryCount - 1, 20), retryMsMax));
    }
  }
}

function deliveryOf(message: JsMsg): Delivery {
  return {
    subject: message.subject,
    data: message.data,
    json: () => parseJson(message.data, `message on ${message.subject}`),
    headers: headersOf(message.headers),
    deliveryCount: message.info.deliveryCount,
    sequence: message.seq,
    publishedAt: message.time,
    acknowledge: async () => {
      if (!(await message.ackAck())) throw new Error(`the server did not confirm the ack of ${message.subject}`);
    },
    retry: (delayMs) => message.nak(delayMs),
    working: () => message.working(),
    terminate: (reason) => message.term(reason),
  };
}

/** Returns the headers as a record. Only the last value of a repeated header is kept. */
export function headersOf(source: Iterable<[string, string[]]> | undefined): Record<string, string> {
  const record: Record<string, string> = {};
  for (const [name, values] of source ?? []) record[name] = values.at(-1) ?? '';
  return record;
}
