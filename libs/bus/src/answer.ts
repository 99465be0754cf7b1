import { CoppiceError, messageHeaders } from '@coppice/contracts';
import type { WireError } from '@coppice/contracts';
import { busLimits } from './limits.ts';
import { headers } from './nats.ts';
import type { Msg, NatsConnection } from './nats.ts';

const payloadBytesDefault = 1024 * 1024;

/** Where one request is answered: by one message, or by several. */
export class Answer {
  readonly #connection: NatsConnection;
  readonly #request: Msg;
  readonly #method: string;
  /** Of one message, as JSON. */
  readonly bytesMax: number;
  #wrap: (error: WireError) => object = (error) => ({ error });

  constructor(connection: NatsConnection, request: Msg, method: string) {
    this.#connection = connection;
    this.#request = request;
    this.#method = method;
    this.bytesMax = (connection.info?.max_payload ?? payloadBytesDefault) - busLimits.payloadReserveBytes;
  }

  /** Whether the request names a subject for its answer. That somebody listens there isn't known. */
  get isAwaited(): boolean {
    return this.#request.reply !== '';
  }

  /** At most once: what is sent may be lost. @returns its size @throws CoppiceError `limit-exceeded` */
  send(body: unknown): number {
    const bytes = new TextEncoder().encode(JSON.stringify(body));
    if (bytes.length > this.bytesMax) {
      const text = `the answer of ${this.#method} has ${bytes.length} bytes, over the limit of ${this.bytesMax}`;
      throw new CoppiceError('limit-exceeded', text);
    }
    this.#request.respond(bytes);
    return bytes.length;
  }

  /** Resolves when the server has taken what was sent, by this connection as a whole. Rejects when the connection was lost: so may be what was sent. */
  flushed(): Promise<void> {
    return this.#connection.flush();
  }

  /** From now on errors are told so: whoever has sent something is in the middle of an answer. */
  tellErrorsAs(wrap: (error: WireError) => object): void {
    this.#wrap = wrap;
  }

  fail(error: WireError): void {
    const body = JSON.stringify(this.#wrap(error));
    // What a caller wrote may stand in it, as a field's name.
    const fits = Buffer.byteLength(body) <= this.bytesMax;
    const { code, message, retryable } = error;
    const told = message.slice(0, busLimits.errorTextCharactersMax);
    const reply = headers();
    reply.set(messageHeaders.errorCode, code);
    // A header is one line.
    reply.set(messageHeaders.errorText, told.replaceAll(/[\r\n]+/g, ' '));
    this.#request.respond(fits ? body : JSON.stringify(this.#wrap({ code, message: told, retryable })), {
      headers: reply,
    });
  }
}
