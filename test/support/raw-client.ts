import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';

/**
 * A client of NATS's text protocol. It can send any reply subject and any headers, so that a test can act as a hostile
 * program.
 */
export class RawClient implements AsyncDisposable {
  readonly #socket: Socket;
  #said = '';

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8').on('data', (text: string) => (this.#said += text));
  }

  static async connect(url: string, user: string, password: string): Promise<RawClient> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    const client = new RawClient(socket);
    const options = { user, pass: password, verbose: false, pedantic: false, headers: true, no_responders: true };
    client.#send(`CONNECT ${JSON.stringify(options)}\r\n`);
    await client.settle();
    return client;
  }

  #send(text: string): void {
    this.#socket.write(text);
  }

  subscribe(subject: string): void {
    this.#send(`SUB ${subject} 1\r\n`);
  }

  publish(subject: string, reply: string, payload: string, headers: Record<string, string> = {}): void {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    if (lines.length === 0)
      return this.#send(`PUB ${subject} ${reply} ${Buffer.byteLength(payload)}\r\n${payload}\r\n`);
    const head = `NATS/1.0\r\n${lines.join('')}\r\n`;
    const length = Buffer.byteLength(head);
    this.#send(`HPUB ${subject} ${reply} ${length} ${length + Buffer.byteLength(payload)}\r\n${head}${payload}\r\n`);
  }

  /**
   * Resolves when the server has processed everything that was sent to it. @returns the server's output since the last
   * call
   */
  async settle(): Promise<string> {
    this.#send('PING\r\n');
    while (!this.#said.includes('PONG\r\n')) await once(this.#socket, 'data');
    const said = this.#said;
    this.#said = '';
    return said;
  }

  /** Waits until the server's output since the last call matches the pattern. @returns that output */
  async hear(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#said)) await once(this.#socket, 'data');
    const said = this.#said;
    this.#said = '';
    return said;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
  }
}
