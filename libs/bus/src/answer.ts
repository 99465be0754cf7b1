import { CoppiceError, messageHeaders } from '@coppice/contracts';
import type { WireError } from '@coppice/contracts';
import { busLimits } from './limits.ts';
import { headers } from './nats.ts';
import type { Msg, NatsConnection } from './nats.ts';

const payloadBytesDefault = 1024 * 1024;

/** The answer to one request. It consists of one or more messages. */
export class Answer {
  readonly #connection: NatsConnection;
  readonly #request: Msg;
  readonly #method: string;
  /** Maximum size of one message, in bytes of JSON. */
  readonly bytesMax: number;
  #wrap: (error: WireError) => object = (error) => ({ error });

  constructor(connection: NatsConnection, request: Msg, method: string) {
    this.#connection = connection;
    this.#request = request;
    this.#method = method;
    this.bytesMax = (connection.info?.max_payload ?? payloadBytesDefault) - busLimits.payloadReserveBytes;
  }

  /** True if the request has a reply subject. It is unknown whether anyone subscribes to that subject. */
  get isAwaited(): boolean {
    return this.#request.reply !== '';
  }

  /**
   * Sends one message at most once, so the message may be lost.
   * @returns the message's size in bytes
   * @throws CoppiceError `limit-exceeded`
   */
  send(body: unknown): number {
    const bytes = new TextEncoder().encode(JSON.stringify(body));
    if (bytes.length > this.bytesMax) {
      const text = `the answer of ${this.#method} has ${bytes.length} bytes, over the limit of ${this.bytesMax}`;
      throw new CoppiceError('limit-exceeded', text);
    }
    this.#request.respond(bytes);
    return bytes.length;
  }

  /**
   * Resolves when the server has received all messages of this connection. Rejects if the connection was lost, since
   * the last messages may be lost too.
   */
  flushed(): Promise<void> {
    return this.#connection.flush();
  }

  /**
   * Sets the encoding of later errors. An error after the first message must have the form of the answer's other
   * messages.
   */
  sendErrorsAs(wrap: (error: WireError) => object): void {
    this.#wrap = wrap;
  }

  fail(error: WireError): void {
    const body = JSON.stringify(this.#wrap(error));
    // An error's message may quote the caller's text, so it can have any length.
    const fits = Buffer.byteLength(body) <= this.bytesMax;
    const { code, message, retryable } = error;
    const shortened = message.slice(0, busLimits.errorTextCharactersMax);
    const reply = headers();
    reply.set(messageHeaders.errorCode, code);
    // A header value has to be on one line.
    reply.set(messageHeaders.errorText, shortened.replaceAll(/[\r\n]+/g, ' '));
    this.#request.respond(fits ? body : JSON.stringify(this.#wrap({ code, message: shortened, retryable })), {
      headers: reply,
    });
  }
}
