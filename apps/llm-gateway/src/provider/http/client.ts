import { Readable } from 'node:stream';
import { Agent, DecoratorHandler, request } from 'undici';
import type { Dispatcher } from 'undici';
import { httpLimits } from './limits.ts';
import type { ResponseHeaders } from './retry-after.ts';

export type HttpAnswer = {
  status: number;
  headers: ResponseHeaders;
  /** Pieces as they come. Ending the iteration early, or the signal, closes the connection at once. @throws HttpFailed, or the signal's reason. */
  body: AsyncIterable<Uint8Array>;
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
  }).compose(
    (dispatch) => (options, handler) =>
      dispatch(options, new NoticingHandler(handler, options as { opaque?: unknown })),
  );

  async send(
    url: string,
    {
      method,
      headers,
      body,
      signal,
      onSent = () => {},
    }: {
      method: 'GET' | 'POST';
      headers: Record<string, string>;
      body?: string;
      signal: AbortSignal;
      /** Told when the system has taken the whole body for a server that is there. */
      onSent?: () => void;
    },
  ): Promise<HttpAnswer> {
    try {
      const answer = await request(url, {
        method,
        signal,
        dispatcher: this.#agent,
        // Where the agent's handler finds it.
        opaque: onSent,
        ...(body === undefined ? { headers } : sending(body, headers)),
      });
      return { status: answer.statusCode, headers: answer.headers, body: piecesOf(answer.body, signal) };
    } catch (error) {
      throw failureOf(error, signal);
    }
  }

  /** Ends all connections. */
  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

/** What a socket takes at once. */
const atOnceBytesMax = 64 * 1024;

/** A large body as a stream, since only that tells when all of it is sent. Its length is told all the same: not every server takes a body in chunks. */
function sending(text: string, headers: Record<string, string>) {
  const bytes = Buffer.from(text);
  if (bytes.length <= atOnceBytesMax) return { headers, body: bytes };
  const body = Readable.from([bytes], { objectMode: false });
  return { headers: { ...headers, 'content-length': `${bytes.length}` }, body };
}

/** Tells when a request is sent, which the library's promise doesn't. */
class NoticingHandler extends DecoratorHandler {
  readonly #onSent: unknown;

  constructor(handler: Dispatcher.DispatchHandler, { opaque }: { opaque?: unknown }) {
    super(handler);
    this.#onSent = opaque;
  }

  onRequestSent(): void {
    if (typeof this.#onSent === 'function') this.#onSent();
  }
}

async function* piecesOf(body: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncIterable<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw failureOf(error, signal);
  }
}

function failureOf(error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  const code = (error as NodeJS.ErrnoException).code ?? (error instanceof Error ? error.name : 'unknown');
  return new HttpFailed(code);
}

/** The whole body as text; null where it is larger than allowed. */
export async function wholeText(body: AsyncIterable<Uint8Array>, bytesMax: number): Promise<string | null> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.length;
    if (bytes > bytesMax) return null;
    pieces.push(piece);
  }
  return new TextDecoder().decode(Buffer.concat(pieces));
}
