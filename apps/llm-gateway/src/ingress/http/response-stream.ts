import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { CoppiceError } from '@coppice/contracts';
import { Phase } from '../../phases.ts';
import { facadeLimits } from './limits.ts';

const writing = Phase.afterWork();

/** HTTP response with backpressure. Callers can wait until the client has read the buffered output. */
export class Outlet {
  readonly #response: ServerResponse;
  readonly #signal: AbortSignal;
  /** Sent in addition to the headers of `begin`. */
  readonly #headers: Record<string, string> = {};
  #waiting = false;
  /**
   * Text for the next write. All text from one piece of the provider's stream is sent in one write, to save system
   * calls.
   */
  #held = '';
  #wroteAtMs = 0;
  /** Id of the call in the log, and of the answer for the client. Contains only letters and digits. */
  readonly id = randomUUID().replaceAll('-', '');

  /** @param signal aborts waits for the client */
  constructor(response: ServerResponse, signal: AbortSignal) {
    this.#response = response;
    this.#signal = signal;
  }

  /** True once the status is sent. */
  get begun(): boolean {
    return this.#response.headersSent;
  }

  /** Milliseconds since the last write; 0 while a write waits for the client. */
  get silentMs(): number {
    return this.#waiting ? 0 : performance.now() - this.#wroteAtMs;
  }

  addHeaders(headers: Record<string, string>): void {
    Object.assign(this.#headers, headers);
  }

  /** The status and the headers are sent with the next write. */
  begin(status: number, headers: Record<string, string>): void {
    // The vendors' clients show the request id to their users.
    const id = `req_${this.id}`;
    const own = { 'cache-control': 'no-store', 'x-request-id': id, 'request-id': id };
    this.#response.writeHead(status, Object.assign(own, this.#headers, headers));
  }

  /**
   * Returns null if the caller may continue to write. Otherwise returns a promise that the caller must await before the
   * next write. The promise rejects with the signal's reason, or with `cancelled` if the client doesn't read.
   */
  write(text: string): Promise<void> | null {
    if (text === '') return null;
    this.#wroteAtMs = performance.now();
    // Writes once all text that arrived together is in `#held`. Writes of other answers run in the same phase
    // (phases.ts).
    if (this.#held === '') writing.add(() => this.#writeHeld());
    this.#held += text;
    return this.#response.writableNeedDrain ? this.#drained() : null;
  }

  /** Resolves in the phase in which all answers are written (phases.ts). */
  canBeWritten(): Promise<void> {
    return writing.begun();
  }

  whole(status: number, headers: Record<string, string>, body: string): void {
    this.#headers['content-length'] = String(Buffer.byteLength(body));
    this.begin(status, headers);
    this.#response.end(body);
  }

  end(text: string): void {
    this.#response.end(this.#takeHeld() + text);
  }

  /** Sends this text and ends the body. Closes the connection only if the client doesn't read the text in time. */
  async endEarly(text: string): Promise<void> {
    await this.#sent((sent) => this.#response.end(this.#takeHeld() + text, sent));
    if (!this.#response.writableFinished) this.#response.destroy();
  }

  /** Closes the connection in the middle of the body, after this text is sent. */
  async breakOff(text: string): Promise<void> {
    await this.#sent((sent) => this.#response.write(this.#takeHeld() + text, sent));
    this.#response.destroy();
  }

  async #sent(send: (sent: () => void) => void): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, facadeLimits.breakOffMs);
    this.#response.once('close', resolve);
    send(resolve);
    await promise;
    clearTimeout(timer);
  }

  #takeHeld(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }

  #writeHeld(): void {
    const held = this.#takeHeld();
    if (held !== '' && !this.#response.destroyed) this.#response.write(held);
  }

  async #drained(): Promise<void> {
    this.#waiting = true;
    const { stalledClientMsMax, slowClientBytesPerSecond } = facadeLimits;
    // `drain` is emitted only once the whole buffer is sent. So the time limit depends on the buffer's size.
    const patienceMs = stalledClientMsMax + this.#response.writableLength / (slowClientBytesPerSecond / 1_000);
    const late = AbortSignal.timeout(Math.ceil(patienceMs));
    try {
      await once(this.#response, 'drain', { signal: AbortSignal.any([this.#signal, late]) });
    } catch (error) {
      this.#signal.throwIfAborted();
      if (!late.aborted) throw error;
      throw new CoppiceError('cancelled', `the client did not read its answer within ${Math.ceil(patienceMs)} ms`);
    } finally {
      this.#waiting = false;
      this.#wroteAtMs = performance.now();
    }
  }
}
