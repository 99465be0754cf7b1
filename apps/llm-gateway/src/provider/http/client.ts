import { Readable } from 'node:stream';
import { Agent } from 'undici';
import type { Dispatcher } from 'undici';
import { Phase } from '../../phases.ts';
import { httpLimits } from './limits.ts';
import type { ResponseHeaders } from './retry-after.ts';

/** `path` with the query. */
export type HttpAddress = { origin: string; path: string };

export type HttpAnswer = {
  status: number;
  headers: ResponseHeaders;
  /** Pieces as they come, to be read once. Ending the iteration early, or the signal, closes the connection at once. @throws HttpFailed, or the signal's reason. */
  body: AsyncIterable<Uint8Array>;
  /** Closes the connection where the answer isn't over. */
  leave(): void;
};

/** What a request needs of the signal that ends it. */
export type Ending = Pick<AbortSignal, 'reason' | 'throwIfAborted'> & {
  addEventListener(type: 'abort', listener: () => void, options: { once: true }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
};

/** The connection was not there or broke. `code` is the system's or the library's, e.g. ECONNREFUSED. */
export class HttpFailed extends Error {
  override readonly name = 'HttpFailed';
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/**
 * Connections to one provider. It follows no redirect (the key would go along) and has no time-outs but that for connecting: the caller's signal ends what
 * takes too long. Nothing that it throws holds what was sent.
 */
export class HttpClient {
  readonly #agent = new Agent({
    // One connection a request: to end a request is then to end its connection, and one that breaks takes no other with it.
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
      signal: Ending;
      /** Told when the system has taken the whole body for a server that is there. */
      onSent?: () => void;
      /** Told as soon as the server answers, before whoever waits for the answer goes on. */
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

  /** Ends all connections. */
  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

const sendingRequests = Phase.afterWork();
const readingAnswers = Phase.afterReading();

/** What a socket takes at once. */
const atOnceBytesMax = 64 * 1024;
/** So much of an answer is taken from its connection before it is read. */
const heldBytesMax = 64 * 1024;

/**
 * What a request needs until it ends, and then nothing: the library keeps one that was given up for as long as it waits for its connection, and with it all that it
 * was given, which is why it is given this.
 */
type Held = { bytes: Buffer | null; answer: Answer | null };

/** A large body as a stream, since only that tells when all of it is sent. Its length is told all the same: not every server takes a body in chunks. */
function sending(held: Held, headers: Record<string, string>) {
  const { bytes } = held;
  if (bytes === null) return { headers };
  if (bytes.length <= atOnceBytesMax) return { headers, body: bytes };
  const body = Readable.from(piecesOf(held), { objectMode: false });
  // A request that ends early ends its body with an error, which its answer tells.
  body.on('error', () => {});
  return { headers: { ...headers, 'content-length': `${bytes.length}` }, body };
}

/** In pieces, since what is handed to the system at once counts as sent though most of it waits here. */
function* piecesOf(held: Held): Iterable<Buffer> {
  for (let from = 0; held.bytes !== null && from < held.bytes.length; from += atOnceBytesMax)
    yield held.bytes.subarray(from, from + atOnceBytesMax);
}

type Told = { onSent: () => void; onStatus: (status: number) => void };

/** Tells an answer what the library tells of it, until it is over. */
class AnswerHandler implements Dispatcher.DispatchHandler {
  readonly #held: Held;

  constructor(held: Held) {
    this.#held = held;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Given up while it waited for a connection, which then is another's.
    if (this.#held.answer === null) controller.abort(leftEarly);
    else this.#held.answer.start(controller);
  }

  onRequestSent(): void {
    this.#held.answer?.sent();
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: ResponseHeaders): void {
    // What a server says in between is of no use here.
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
 * One answer, for a reader that takes its time. The library's own `request` makes a stream and watches the signal in a way that take as long as all
 * else that is done for a short answer.
 */
class Answer implements AsyncIterable<Uint8Array, void, undefined> {
  readonly begun: Promise<HttpAnswer>;
  /** Null where it is too late to end the request by it, or too early. */
  #controller: Dispatcher.DispatchController | null = null;
  readonly #signal: Ending;
  readonly #told: Told;
  readonly #held: Held;
  readonly #resolve: (answer: HttpAnswer) => void;
  readonly #reject: (reason: unknown) => void;
  /** Come and not read yet. */
  #pieces: Buffer[] = [];
  #heldBytes = 0;
  #over = false;
  #failure: { reason: unknown } | null = null;
  /** Who waits for the next piece is told to look again. */
  #wake: (() => void) | null = null;

  readonly #onAbort = () => {
    // What came before isn't wanted either.
    this.#pieces = [];
    this.#end({ reason: this.#signal.reason });
  };

  constructor(signal: Ending, told: Told, held: Held) {
    this.#signal = signal;
    this.#told = told;
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
    this.#told.onSent();
  }

  begin(status: number, headers: ResponseHeaders): void {
    this.#told.onStatus(status);
    readingAnswers.add(() => this.#resolve({ status, headers, body: this, leave: () => this.#leave() }));
  }

  /** Written out, since a generator takes three turns of the queue for each step, and there is nothing here to wait for in between. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, void, undefined> {
    return {
      next: () => new Promise((resolve, reject) => this.#tellNext(resolve, reject)),
      return: () => {
        this.#leave();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  add(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#heldBytes += piece.length;
    if (this.#heldBytes > heldBytesMax) this.#controller?.pause();
    this.#wakeReader();
  }

  /** The library has ended it. */
  end(failure: { reason: HttpFailed } | null): void {
    this.#controller = null;
    this.#end(failure);
  }

  /** Ends the request where it isn't over, and tells whoever waits. */
  #end(failure: { reason: unknown } | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#failure = failure;
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#held.answer = null;
    this.#held.bytes = null;
    this.#controller?.abort(leftEarly);
    // Not before it was told that the answer began.
    if (failure !== null) readingAnswers.add(() => this.#reject(failure.reason));
    this.#wakeReader();
  }

  #wakeReader(): void {
    if (this.#wake !== null) readingAnswers.add(this.#wake);
    this.#wake = null;
  }

  /** What has come since it was asked for the last time is one piece. */
  #tellNext(resolve: (next: IteratorResult<Uint8Array, void>) => void, reject: (reason: unknown) => void): void {
    if (this.#pieces.length > 0) resolve({ done: false, value: this.#take() });
    else if (this.#failure !== null) reject(this.#failure.reason);
    else if (this.#over) resolve({ done: true, value: undefined });
    else this.#wake = () => this.#tellNext(resolve, reject);
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

/** Once for all: to make an error takes longer than much else, and nobody sees it. */
const leftEarly = new Error('the answer is no longer wanted');

const codeOf = (error: Error): string => (error as NodeJS.ErrnoException).code ?? error.name;

const decoder = new TextDecoder();

/** The whole body as text; null where it is larger than allowed. `onRead` is told how much there is so far. @throws what it throws. */
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
