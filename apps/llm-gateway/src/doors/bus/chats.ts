/**
 * The chats in progress.
 *
 * Nobody tells a gateway that a client of the bus is gone: a message to nobody vanishes where the client has an account of its own. So it has to say now and then
 * that it is there.
 *
 * Invariants:
 * 1. There are at most `chatsMax`, and none begins once the gateway stops.
 * 2. A chat whose client said nothing for `unkeptMsMax` ends. One that is answered in one message needn't be kept: its client doesn't know its id, and its time is
 *    short.
 * 3. Only the tenant that began a chat keeps or cancels it; to another it is as if it weren't there.
 * 4. A lost connection ends them all: across accounts a server that was restarted has forgotten where they are heard, and tells neither side.
 * 5. stop() lets chats end within `drainMs`; those that don't are told `unavailable`. Meanwhile none ends for silence.
 */
import { randomBytes } from 'node:crypto';
import { CoppiceError } from '@coppice/contracts';
import type { BusDoorLimits } from './limits.ts';

export type Chat = {
  /** Whoever knows it, of its tenant, may end the chat. */
  id: string;
  /** Aborted when it ends before its answer does. */
  signal: AbortSignal;
  /** Gives its place back. */
  close(): void;
};

type Open = { tenant: string; abort: AbortController; kept: boolean; keptAtMs: number; closed: () => void };

export class Chats {
  readonly #limits: BusDoorLimits;
  readonly #now: () => number;
  readonly #open = new Map<string, Open>();
  readonly #timer: NodeJS.Timeout;
  #stopping = false;

  /** @param now in milliseconds; it never goes back */
  constructor(limits: BusDoorLimits, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
    this.#timer = setInterval(() => this.sweep(), limits.sweepMs);
    this.#timer.unref();
  }

  /** @param kept whether it ends unless its client keeps it @throws CoppiceError `unavailable` */
  begin(tenant: string, kept: boolean): Chat {
    const { chatsMax } = this.#limits;
    if (this.#stopping) throw stopping();
    if (this.#open.size >= chatsMax)
      throw new CoppiceError('unavailable', `this gateway has ${chatsMax} chats in progress, and takes no more`);
    const id = `c${randomBytes(16).toString('hex')}`;
    const abort = new AbortController();
    const close = () => {
      this.#open.get(id)?.closed();
      this.#open.delete(id);
    };
    this.#open.set(id, { tenant, abort, kept, keptAtMs: this.#now(), closed: () => {} });
    return { id, signal: abort.signal, close };
  }

  /** Whether it is in progress here. */
  keep(tenant: string, id: string): boolean {
    const chat = this.#of(tenant, id);
    if (chat !== null) chat.keptAtMs = this.#now();
    return chat !== null;
  }

  /** Whether it was in progress here. */
  cancel(tenant: string, id: string): boolean {
    const chat = this.#of(tenant, id);
    chat?.abort.abort(new CoppiceError('cancelled', 'the chat was cancelled by llm.cancel'));
    return chat !== null;
  }

  /** Ends those whose clients are gone. */
  sweep(): void {
    if (this.#stopping) return;
    const { unkeptMsMax } = this.#limits;
    for (const { kept, keptAtMs, abort } of this.#open.values()) {
      if (kept && this.#now() - keptAtMs > unkeptMsMax)
        abort.abort(new CoppiceError('cancelled', `no llm.keep came for ${unkeptMsMax} ms`));
    }
  }

  /** The connection to the NATS server was lost. */
  lost(): void {
    for (const { abort } of this.#open.values())
      abort.abort(new CoppiceError('unavailable', "the gateway's connection to the NATS server was lost"));
  }

  /** Returns when none is in progress any more, or all that are were told to end. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#timer);
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#limits.drainMs);
    await Promise.race([this.#allClosed(), late]);
    clearTimeout(timer);
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
