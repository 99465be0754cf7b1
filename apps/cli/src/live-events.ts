/**
 * Reads the stream of events live. Continues after a restart of the server.
 *
 * Invariants:
 * 1. Messages are passed on in stream order, each once. An event that was published twice is passed on only once.
 * 2. When `catchUp` resolves, all stored messages have been passed on.
 */
import { CoppiceError, coppiceEventSchema, streams } from '@coppice/contracts';
import type { CoppiceEvent } from '@coppice/contracts';
import type { ApiClient } from './api-client.ts';
import { pause } from './pause.ts';

/** `event` is null if this version can't parse the message. */
type OnEvent = (event: CoppiceEvent | null, raw: unknown) => void;

const againMs = 500;

export class LiveEvents {
  readonly #client: ApiClient;
  readonly #subject: string;
  readonly #onEvent: OnEvent;
  readonly #seen = new Set<string>();
  #lastSequence: number | null = null;

  constructor(client: ApiClient, subject: string, onEvent: OnEvent) {
    this.#client = client;
    this.#subject = subject;
    this.#onEvent = onEvent;
  }

  /**
   * Passes on stored and new events until the signal is aborted or the connection ends.
   * @param newOnly if true, skips the stored events
   */
  follow(signal: AbortSignal, newOnly = false): Promise<void> {
    return this.#read(signal, { live: true, newOnly });
  }

  /** Passes on the stored events that `follow` hasn't passed on. Must be called after `follow` has ended. */
  catchUp(signal: AbortSignal): Promise<void> {
    return this.#read(signal, { live: false, newOnly: false });
  }

  async #read(signal: AbortSignal, options: { live: boolean; newOnly: boolean }): Promise<void> {
    while (!signal.aborted) {
      try {
        const start = this.#lastSequence === null ? {} : { newOnly: false, startSequence: this.#lastSequence + 1 };
        const messages = this.#client.bus.read(streams.events, this.#subject, { ...options, ...start, signal });
        for await (const message of messages) {
          this.#lastSequence = message.sequence;
          this.#pass(message.json());
        }
        return;
      } catch (error) {
        if (!(error instanceof CoppiceError && error.retryable)) throw error;
      }
      await pause(againMs, signal);
    }
  }

  #pass(raw: unknown): void {
    const event = coppiceEventSchema.safeParse(raw);
    if (event.success && this.#seen.has(event.data.id)) return;
    if (event.success) this.#seen.add(event.data.id);
    this.#onEvent(event.success ? event.data : null, raw);
  }
}
