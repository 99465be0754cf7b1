import { errors } from './nats.ts';
import type { NatsConnection } from './nats.ts';

/** Thrown when a request was not sent, since there was no connection. */
export class NotConnected extends errors.RequestError {}

/**
 * Tracks whether a connection is up.
 *
 * Invariants:
 * 1. The client silently drops messages while it isn't connected. So a request made during that time waits for the
 *    connection, up to the request's own time limit.
 * 2. If the connection is lost before a request's answer arrives, the request fails at once. So a retry can run as soon
 *    as there is a connection.
 */
export class ConnectionWatch {
  readonly #lossHandlers = new Set<() => void>();
  readonly #reconnectHandlers = new Set<() => void>();
  #isConnected = true;

  constructor(connection: NatsConnection) {
    void this.#follow(connection);
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** @returns a function that removes the handler */
  onLoss(handler: () => void): () => void {
    this.#lossHandlers.add(handler);
    return () => this.#lossHandlers.delete(handler);
  }

  /** @returns a function that removes the handler */
  onReconnect(handler: () => void): () => void {
    this.#reconnectHandlers.add(handler);
    return () => this.#reconnectHandlers.delete(handler);
  }

  /** Returns the connection with a `request` function that keeps invariants 1 and 2. */
  watched(connection: NatsConnection): NatsConnection {
    const request: NatsConnection['request'] = async (subject, payload, options) => {
      const { timeout = 1_000 } = options ?? {};
      const leftMs = this.#isConnected ? timeout : await this.#reconnected(timeout);
      const lost = Promise.withResolvers<never>();
      const forget = this.onLoss(() =>
        lost.reject(new errors.RequestError('the connection was lost before the answer came')),
      );
      try {
        return await Promise.race([
          connection.request(subject, payload, { ...options, timeout: leftMs }),
          lost.promise,
        ]);
      } finally {
        forget();
      }
    };
    return Object.create(connection, { request: { value: request } }) as NatsConnection;
  }

  /** Waits for a reconnect. @returns the remaining time in milliseconds @throws NotConnected when no time remains */
  async #reconnected(waitMs: number): Promise<number> {
    const endsAtMs = performance.now() + waitMs;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const late = setTimeout(() => reject(new NotConnected('there is no connection')), waitMs);
    const forget = this.onReconnect(resolve);
    try {
      await promise;
    } finally {
      clearTimeout(late);
      forget();
    }
    return Math.max(1, endsAtMs - performance.now());
  }

  async #follow(connection: NatsConnection): Promise<void> {
    for await (const { type } of connection.status()) {
      if (type !== 'disconnect' && type !== 'reconnect') continue;
      this.#isConnected = type === 'reconnect';
      for (const handler of this.#isConnected ? this.#reconnectHandlers : this.#lossHandlers) handler();
    }
    // On a closed connection the client itself rejects requests, so no request may wait for a reconnect.
    this.#isConnected = true;
    for (const handler of this.#reconnectHandlers) handler();
  }
}
