import type { OutputSink } from './launcher.ts';

const headerBytes = 8;

/**
 * Splits an attached stream into stdout and stderr. A frame is a kind byte, three zero bytes, a big-endian length of 4
 * bytes and the payload. The payload is passed on as it arrives and never buffered.
 */
export class OutputDemultiplexer {
  readonly #sink: OutputSink;
  #header: Buffer = Buffer.alloc(0);
  #stream: 'stdout' | 'stderr' = 'stdout';
  #payloadLeft = 0;

  constructor(sink: OutputSink) {
    this.#sink = sink;
  }

  push(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#payloadLeft > 0) {
        const payload = rest.subarray(0, this.#payloadLeft);
        this.#payloadLeft -= payload.length;
        rest = rest.subarray(payload.length);
        this.#sink(this.#stream, payload);
        continue;
      }
      const missing = headerBytes - this.#header.length;
      this.#header = Buffer.concat([this.#header, rest.subarray(0, missing)]);
      rest = rest.subarray(missing);
      if (this.#header.length < headerBytes) return;
      this.#stream = this.#header[0] === 2 ? 'stderr' : 'stdout';
      this.#payloadLeft = this.#header.readUInt32BE(4);
      this.#header = Buffer.alloc(0);
    }
  }
}
