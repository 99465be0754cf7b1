import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { CoppiceError } from '@coppice/contracts';
import { Phase } from '../../phases.ts';
import { facadeLimits } from './limits.ts';

const writing = Phase.afterWork();

/** A response that is written no faster than its client reads. */
export class Outlet {
  readonly #response: ServerResponse;
  readonly #signal: AbortSignal;
  /** Beside those that the response begins with. */
  readonly #headers: Record<string, string> = {};
  #waiting = false;
  /** Told and not yet written: what one piece of the provider's stream brings is one write, and so one chunk and one call of the system. */
  #held = '';
  #wroteAtMs = 0;
  /** By which a log names the call, and its client the answer: letters and digits. */
  readonly id = randomUUID().replaceAll('-', '');

  /** `signal` ends a wait for the client. */
  constructor(response: ServerResponse, signal: AbortSignal) {
    this.#response = response;
    this.#signal = signal;
  }

  /** Whether its status was told. */
  get begun(): boolean {
    return this.#response.headersSent;
  }

  /** How long nothing was written; 0 while the client is waited for. */
  get silentMs(): number {
    return this.#waiting ? 0 : performance.now() - this.#wroteAtMs;
  }

  addHeaders(headers: Record<string, string>): void {
    Object.assign(this.#headers, headers);
  }

  /** Sent with what is written next. */
  begin(status: number, headers: Record<string, string>): void {
    // By which the vendors' clients name a request to their user.
    const id = `req_${this.id}`;
    const own = { 'cache-control': 'no-store', 'x-request-id': id, 'request-id': id };
    this.#response.writeHead(status, Object.assign(own, this.#headers, headers));
  }

  /** Null where more can be written at once; else it is to be waited for. @throws by the promise: the signal's reason, or that the client doesn't read. */
  write(text: string): Promise<void> | null {
    if (text === '') return null;
    this.#wroteAtMs = performance.now();
    // By then all has been told that came together, and the writes of all answers follow one another: see AnswerSender.
    if (this.#held === '') writing.add(() => this.#writeHeld());
    this.#held += text;
    return this.#response.writableNeedDrain ? this.#drained() : null;
  }

  /** Until the writes of all answers follow one another. */
  canBeWritten(): Promise<void> {
    return writing.begun();
  }

  /** Everything at once, for an answer that isn't a stream. */
  whole(status: number, headers: Record<string, string>, body: string): void {
    this.#headers['content-length'] = String(Buffer.byteLength(body));
    this.begin(status, headers);
    this.#response.end(body);
  }

  end(text: string): void {
    this.#response.end(this.#takeHeld() + text);
  }

  /** Ends the body with this text, which says that the answer isn't whole; the connection only where the client doesn't read so far. */
  async endEarly(text: string): Promise<void> {
    await this.#sent((sent) => this.#response.end(this.#takeHeld() + text, sent));
    if (!this.#response.writableFinished) this.#response.destroy();
  }

  /** Ends the connection in the middle of the body, once this text is on its way. */
  async breakOff(text: string): Promise<void> {
    await this.#sent((sent) => this.#response.write(this.#takeHeld() + text, sent));
    this.#response.destroy();
  }

  /** Waits for what is sent, but not for long. */
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
    // It is told when all of it is on its way, which takes a slow client longer the more there is.
    const patienceMs = stalledClientMsMax + this.#response.writableLength / (slowClientBytesPerSecond / 1_000);
    const late = AbortSignal.timeout(Math.ceil(patienceMs));
    try {
      await once(this.#response, 'drain', { signal: AbortSignal.any([this.#signal, late]) });
    } catch (error) {
      this.#signal.throwIfAborted();
      if (!late.aborted) throw error;
      throw new CoppiceError(
        'cancelled',
        `the client did not read what it was sent within ${Math.ceil(patienceMs)} ms`,
      );
    } finally {
      this.#waiting = false;
      this.#wroteAtMs = performance.now();
    }
  }
}
