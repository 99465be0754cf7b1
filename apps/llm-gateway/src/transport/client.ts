import { Readable } from 'node:stream';
import { Agent } from 'undici';
import type { Dispatcher } from 'undici';
import { Phase } from '../phases.ts';
import { httpLimits } from './limits.ts';
import type { ResponseHeaders } from './retry-after.ts';

/** `path` includes the query. */
export type HttpAddress = { origin: string; path: string };

export type HttpAnswer = {
  status: number;
  headers: ResponseHeaders;
  /**
   * Pieces of the body as they arrive. Can be read once. The connection closes at once if the iteration ends early or
   * the signal is aborted.
   * @throws HttpFailed, or the signal's reason.
   */
  body: AsyncIterable<Uint8Array>;
  /** Closes the connection if the answer isn't complete. */
  leave(): void;
};

/**
 * Error for a connection that failed or broke. `code` comes from the system or the HTTP library, for example
 * `ECONNREFUSED`.
 */
export class HttpFailed extends Error {
  override readonly name = 'HttpFailed';
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/**
 * The connections to one provider. Doesn't follow redirects, since a redirect would send the key to another server.
 * Only connecting has a time limit, and the caller's signal must end slow requests. Errors never contain what was sent.
 */
export class HttpClient {
  readonly #agent = new Agent({
    // With HTTP/2, requests would share a connection. Then a broken connection would fail all of them, and the end of
    // one request couldn't close the connection.
    allowH2: false,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: httpLimits.connectMsMax },
  });

  /** @throws HttpFailed, or the signal's reason. */
  send(
    { origin, path }: HttpAddress,
    {
      method,
      headers,
      body,
      signal,
      onSent = () => {},
      onStatus = () => {},
    }: {
      method: 'GET' | 'POST';
      headers: Record<string, string>;
      body?: string;
      signal: AbortSignal;
      /** Called when the operating system has accepted the whole body. */
      onSent?: () => void;
      /** Called when the status arrives, before the returned promise resolves. */
      onStatus?: (status: number) => void;
    },
  ): Promise<HttpAnswer> {
    signal.throwIfAborted();
    const held: Held = { bytes: body === undefined ? null : Buffer.from(body), answer: null };
    const answer = new Answer(signal, { onSent, onStatus }, held);
    held.answer = answer;
    sendingRequests.add(() => {
      if (held.answer === null) return;
      this.#agent.dispatch({ origin, path, method, ...sending(held, headers) }, new AnswerHandler(held));
    });
    return answer.begun;
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

const sendingRequests = Phase.afterWork();
const readingAnswers = Phase.afterReading();

const atOnceBytesMax = 64 * 1024;
/** Bytes of an answer that are buffered before the connection pauses. */
const heldBytesMax = 64 * 1024;

/**
 * The data that a request needs until it ends. Both fields are null afterwards. The HTTP library keeps an abandoned
 * request until a connection is free. The library references only this object, so the data can be freed earlier.
 */
type Held = { bytes: Buffer | null; answer: Answer | null };

/**
 * Returns the headers and the body to send. A large body is a stream, since the library reports only for a stream when
 * all of it is sent. The headers contain its length, since some servers reject chunked bodies.
 */
function sending(held: Held, headers: Record<string, string>) {
  const { bytes } = held;
  if (bytes === null) return { headers };
  if (bytes.length <= atOnceBytesMax) return { headers, body: bytes };
  const body = Readable.from(piecesOf(held), { objectMode: false });
  // If a request ends early, its body fails. The answer reports that, so the error is ignored here.
  body.on('error', () => {});
  return { headers: { ...headers, 'content-length': `${bytes.length}` }, body };
}

/**
 * Splits the body into pieces. The library counts a piece as sent when it writes it to the socket, even if most of it
 * is still buffered in this process.
 */
function* piecesOf(held: Held): Iterable<Buffer> {
  for (let from = 0; held.bytes !== null && from < held.bytes.length; from += atOnceBytesMax)
    yield held.bytes.subarray(from, from + atOnceBytesMax);
}

type RequestHooks = { onSent: () => void; onStatus: (status: number) => void };

/** Forwards the HTTP library's callbacks to the answer, until the answer ends. */
class AnswerHandler implements Dispatcher.DispatchHandler {
  readonly #held: Held;

  constructor(held: Held) {
    this.#held = held;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // The caller abandoned the request before it got a connection. The abort frees the connection for another request.
    if (this.#held.answer === null) controller.abort(leftEarly);
    else this.#held.answer.start(controller);
  }

  onRequestSent(): void {
    this.#held.answer?.sent();
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: ResponseHeaders): void {
    // Ignores informational 1xx responses.
    if (status >= 200) this.#held.answer?.begin(status, headers);
  }

  onResponseData(_controller: Dispatcher.DispatchController, piece: Buffer): void {
    this.#held.answer?.add(piece);
  }

  onResponseEnd(): void {
    this.#held.answer?.end(null);
  }

  onResponseError(_controller: unknown, error: Error): void {
    this.#held.answer?.end({ reason: new HttpFailed(codeOf(error)) });
  }
}

/**
 * One answer, with back-pressure for a slow reader. The library's `request` isn't used, since it creates a stream and
 * listens to the signal. For a short answer, this takes as long as all other work.
 */
class Answer implements AsyncIterable<Uint8Array, void, undefined> {
  readonly begun: Promise<HttpAnswer>;
  /** Null before the request starts and after it ends. */
  #controller: Dispatcher.DispatchController | null = null;
  readonly #signal: AbortSignal;
  readonly #hooks: RequestHooks;
  readonly #held: Held;
  readonly #resolve: (answer: HttpAnswer) => void;
  readonly #reject: (reason: unknown) => void;
  #pieces: Buffer[] = [];
  #heldBytes = 0;
  #over = false;
  #failure: { reason: unknown } | null = null;
  /** Resumes the reader that waits for the next piece, or null. */
  #wake: (() => void) | null = null;

  readonly #onAbort = () => {
    this.#pieces = [];
    this.#end({ reason: this.#signal.reason });
  };

  constructor(signal: AbortSignal, hooks: RequestHooks, held: Held) {
    this.#signal = signal;
    this.#hooks = hooks;
    this.#held = held;
    const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
    this.begun = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  start(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
  }

  sent(): void {
    this.#hooks.onSent();
  }

  begin(status: number, headers: ResponseHeaders): void {
    this.#hooks.onStatus(status);
    readingAnswers.add(() => this.#resolve({ status, headers, body: this, leave: () => this.#leave() }));
  }

  /** Yields everything that arrived since the last step as one piece. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        if (this.#pieces.length > 0) yield this.#take();
        else if (this.#failure !== null) throw this.#failure.reason;
        else if (this.#over) return;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      this.#leave();
    }
  }

  add(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#heldBytes += piece.length;
    if (this.#heldBytes > heldBytesMax) this.#controller?.pause();
    this.#wakeReader();
  }

  /** Called when the HTTP library has ended the request. */
  end(failure: { reason: HttpFailed } | null): void {
    this.#controller = null;
    this.#end(failure);
  }

  /** Aborts the request if it hasn't ended, and resumes the reader. */
  #end(failure: { reason: unknown } | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#failure = failure;
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#held.answer = null;
    this.#held.bytes = null;
    this.#controller?.abort(leftEarly);
    // Queued behind `begin`, so that the caller first gets the start of the answer.
    if (failure !== null) readingAnswers.add(() => this.#reject(failure.reason));
    this.#wakeReader();
  }

  #wakeReader(): void {
    if (this.#wake !== null) readingAnswers.add(this.#wake);
    this.#wake = null;
  }

  #leave(): void {
    this.#pieces = [];
    this.#end(null);
  }

  #take(): Buffer {
    const [only = Buffer.alloc(0), ...others] = this.#pieces;
    const piece = others.length === 0 ? only : Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#heldBytes = 0;
    this.#controller?.resume();
    return piece;
  }
}

/** Created once, since creating an error is slow. No caller sees this error. */
const leftEarly = new Error('the answer is no longer wanted');

const codeOf = (error: Error): string => (error as NodeJS.ErrnoException).code ?? error.name;

const decoder = new TextDecoder();

/**
 * Returns the whole body as text, or null if it is larger than `bytesMax`. Calls `onRead` with the number of bytes so
 * far.
 * @throws what `onRead` throws.
 */
export async function wholeText(
  body: AsyncIterable<Uint8Array>,
  bytesMax: number,
  onRead: (bytes: number) => void = () => {},
): Promise<string | null> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.length;
    if (bytes > bytesMax) return null;
    onRead(bytes);
    pieces.push(piece);
  }
  return decoder.decode(pieces.length === 1 ? pieces[0] : Buffer.concat(pieces));
}
