import { AckPolicy, JetStreamApiError } from './nats.ts';
import type { Consumer, ConsumerConfig, JetStreamClient, JetStreamManager, JsMsg } from './nats.ts';
import { busLimits } from './limits.ts';
import { untilAnswered } from './until-answered.ts';
import { parseJson } from './validate.ts';

/**
 * Pulls messages from a work queue. Each slot handles one message at a time.
 *
 * Invariants:
 * 1. A message is pulled only when a slot is free to handle it, so messages don't wait in this process while their ack wait passes.
 * 2. When a handler throws, its message is redelivered after a short pause; when a handler neither acknowledges nor retries, the message is redelivered after
 *    the ack wait.
 * 3. After the call of stop() no message is pulled. stop() resolves when the handlers in progress have ended.
 */
export type ConsumeOptions = {
  stream: string;
  /** Name of the durable consumer; processes that use the same name share its messages. */
  durable: string;
  /** One subject only. The consumer's create request then has the filter in its own subject, where permissions can match it. */
  filterSubject: string;
  ackWaitMs: number;
  /** Maximum number of handlers in progress at once in this process. */
  concurrency: number;
};

/** One delivery of a stored message. */
export type Delivery = {
  subject: string;
  data: Uint8Array;
  /** @throws CoppiceError `invalid-request` when it isn't JSON. */
  json(): unknown;
  headers: Record<string, string>;
  /** 1 on the first delivery. */
  deliveryCount: number;
  /** Sequence of the stored message in its stream. */
  sequence: number;
  publishedAt: Date;
  /**
   * Acknowledges the message. Resolves when the server has confirmed that. It doesn't show that this process is still responsible for the message, since a late
   * acknowledgement succeeds too.
   */
  acknowledge(): Promise<void>;
  /** Returns the message to the queue. During the delay the message still counts as unacknowledged. */
  retry(delayMs?: number): void;
  /** Restarts the ack wait. */
  working(): void;
  /** Removes the message from the queue without handling it. */
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
    // The server has lost the pull requests made before the reconnect.
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
    // The consumer exists with settings of another version of the software. The process that starts last replaces the settings.
    if (!(error instanceof JetStreamApiError) || error.code !== consumerExists) throw error;
    // An earlier version used a list of filters. The list must be removed explicitly, since the client keeps fields that the update omits, and with a list it
    // uses another request subject.
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
      // The pause grows, so that a message that fails at once each time doesn't keep the processor busy until its last delivery.
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

/** Returns headers as a plain record. If a header is repeated, only its last value is kept. */
export function headersOf(source: Iterable<[string, string[]]> | undefined): Record<string, string> {
  const record: Record<string, string> = {};
  for (const [name, values] of source ?? []) record[name] = values.at(-1) ?? '';
  return record;
}
