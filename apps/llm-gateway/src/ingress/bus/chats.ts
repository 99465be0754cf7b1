/**
 * The chats in progress.
 *
 * A gateway can't detect that a client of the bus has disconnected: if a client has its own NATS account, a message that it no longer receives is dropped
 * silently. So clients must send `llm.keep` regularly.
 *
 * Invariants:
 * 1. There are at most `chatsMax` chats. No chat begins while the gateway stops.
 * 2. A chat without `llm.keep` for `unkeptMsMax` ends. A chat with `stream: false` needs no `llm.keep`, since its client doesn't know the chat's id, and the
 *    chat's time limit is short.
 * 3. Only the tenant that began a chat can keep or cancel it. For other tenants the chat doesn't exist.
 * 4. A lost connection to the NATS server ends all chats. A restarted server has forgotten reply subjects that lead to another account, and notifies neither
 *    side.
 * 5. stop() lets chats finish within `drainMs`. The remaining chats then end with `unavailable`. While the gateway stops, a missing `llm.keep` ends no chat.
 */
import { randomBytes } from 'node:crypto';
import { CoppiceError } from '@coppice/contracts';
import { inTime } from '../../awaiting.ts';
import type { BusEndpointLimits } from './limits.ts';

export type Chat = {
  /** Any client of the tenant that knows the id may end the chat. */
  id: string;
  /** Aborted if the chat ends before its answer is complete. */
  signal: AbortSignal;
  /** Removes the chat. */
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

  /** @param kept true if the client must send `llm.keep` @throws CoppiceError `unavailable` */
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

  /** @returns true if the chat is in progress here. */
  keep(tenant: string, id: string): boolean {
    const chat = this.#of(tenant, id);
    if (chat !== null) chat.keptAtMs = this.#now();
    return chat !== null;
  }

  /** @returns true if the chat was in progress here. */
  cancel(tenant: string, id: string): boolean {
    const chat = this.#of(tenant, id);
    chat?.abort.abort(new CoppiceError('cancelled', 'the chat was cancelled by llm.cancel'));
    return chat !== null;
  }

  /** Ends the chats whose clients have sent no `llm.keep` for `unkeptMsMax`. */
  sweep(): void {
    if (this.#stopping) return;
    const { unkeptMsMax } = this.#limits;
    for (const { kept, keptAtMs, abort } of this.#open.values()) {
      if (kept && this.#now() - keptAtMs > unkeptMsMax)
        abort.abort(new CoppiceError('cancelled', `no llm.keep was received for ${unkeptMsMax} ms`));
    }
  }

  /** Ends all chats after the connection to the NATS server was lost. */
  lost(): void {
    for (const { abort } of this.#open.values())
      abort.abort(new CoppiceError('unavailable', "the gateway's connection to the NATS server was lost"));
  }

  /** Resolves once no chat is in progress, or the remaining chats are aborted. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#timer);
    await inTime(this.#allClosed(), this.#limits.drainMs).catch(() => {
      // The only error is the time limit. The chats that are still open then are aborted below.
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
