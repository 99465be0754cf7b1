/**
 * The chats in progress.
 *
 * A gateway can't detect that a bus client has disconnected. If the client has its own NATS account, the NATS server
 * silently drops the messages to it. So clients must send `llm.keep` regularly.
 *
 * Invariants:
 * 1. While the gateway stops, no chat begins.
 * 2. A chat ends if its client sends no `llm.keep` for `unkeptMsMax`. A chat with `stream: false` needs no `llm.keep`.
 *    The client of such a chat doesn't know the chat's id, and the time limit is short.
 * 3. Only the tenant that began a chat can keep or cancel it. For requests of other tenants, the gateway acts as if the
 *    chat didn't exist.
 * 4. If the gateway loses its connection to the NATS server, all chats end. A restarted server silently drops the
 *    answers of these chats to clients of another account.
 * 5. stop() waits up to `drainMs` for chats to finish. The remaining chats then end with `unavailable`. During this
 *    wait, a missing `llm.keep` ends no chat.
 */
import { randomBytes } from 'node:crypto';
import { CoppiceError } from '@coppice/contracts';
import { inTime } from '../../awaiting.ts';
import type { BusEndpointLimits } from './limits.ts';

export type Chat = {
  /** Any client of the tenant that knows this id can cancel the chat. */
  id: string;
  /** Aborted if the chat ends before its answer is complete. */
  signal: AbortSignal;
  /** Must be called once the chat ends. */
  close(): void;
};

type Open = { tenant: string; abort: AbortController; kept: boolean; keptAtMs: number; closed: () => void };

export class Chats {
  readonly #limits: BusEndpointLimits;
  readonly #now: () => number;
  readonly #open = new Map<string, Open>();
  readonly #timer: NodeJS.Timeout;
  #stopping = false;

  /** @param now monotonic clock in milliseconds */
  constructor(limits: BusEndpointLimits, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
    this.#timer = setInterval(() => this.sweep(), limits.sweepMs);
    this.#timer.unref();
  }

  /**
   * @param kept true if the client must send `llm.keep`
   * @throws CoppiceError `unavailable` if the gateway is stopping or has `chatsMax` chats
   */
  begin(tenant: string, kept: boolean): Chat {
    const { chatsMax } = this.#limits;
    if (this.#stopping) throw stopping();
    if (this.#open.size >= chatsMax)
      throw new CoppiceError('unavailable', `this gateway has ${chatsMax} chats in progress, which is the limit`);
    const id = `c${randomBytes(16).toString('hex')}`;
    const abort = new AbortController();
    const close = () => {
      this.#open.get(id)?.closed();
      this.#open.delete(id);
    };
    this.#open.set(id, { tenant, abort, kept, keptAtMs: this.#now(), closed: () => {} });
    return { id, signal: abort.signal, close };
  }

  /** Returns false if this gateway doesn't have the chat. */
  keep(tenant: string, id: string): boolean {
    const chat = this.#of(tenant, id);
    if (chat !== null) chat.keptAtMs = this.#now();
    return chat !== null;
  }

  cancel(tenant: string, id: string): boolean {
    const chat = this.#of(tenant, id);
    chat?.abort.abort(new CoppiceError('cancelled', 'the chat was cancelled by llm.cancel'));
    return chat !== null;
  }

  sweep(): void {
    if (this.#stopping) return;
    const { unkeptMsMax } = this.#limits;
    for (const { kept, keptAtMs, abort } of this.#open.values()) {
      if (kept && this.#now() - keptAtMs > unkeptMsMax)
        abort.abort(new CoppiceError('cancelled', `no llm.keep was received for ${unkeptMsMax} ms`));
    }
  }

  lost(): void {
    for (const { abort } of this.#open.values())
      abort.abort(new CoppiceError('unavailable', "the gateway's connection to the NATS server was lost"));
  }

  /** Resolves once every chat has closed or was aborted. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#timer);
    await inTime(this.#allClosed(), this.#limits.drainMs).catch(() => {
      // The only possible error is that `drainMs` passed. The open chats are aborted below.
    });
    for (const { abort } of this.#open.values()) abort.abort(stopping());
  }

  async #allClosed(): Promise<void> {
    const closings = [...this.#open.values()].map(
      (chat) =>
        new Promise<void>((resolve) => {
          chat.closed = resolve;
        }),
    );
    await Promise.all(closings);
  }

  #of(tenant: string, id: string): Open | null {
    const chat = this.#open.get(id);
    return chat?.tenant === tenant ? chat : null;
  }
}

const stopping = (): CoppiceError => new CoppiceError('unavailable', 'the gateway is stopping');
