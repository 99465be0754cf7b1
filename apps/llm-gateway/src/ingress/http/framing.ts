import type { Frame, Framing } from './endpoint.ts';

export const contentTypes: Readonly<Record<Framing, string>> = {
  'server-sent-events': 'text/event-stream; charset=utf-8',
  'json-array': 'application/json; charset=utf-8',
};

/** `close` must be called only for a complete stream. */
export class FrameEncoder {
  readonly #framing: Framing;
  #first = true;

  constructor(framing: Framing) {
    this.#framing = framing;
  }

  encode(frames: readonly Frame[]): string {
    return frames.map((frame) => this.#one(frame)).join('');
  }

  close(): string {
    if (this.#framing !== 'json-array') return '';
    return this.#first ? '[]' : ']';
  }

  #one({ name, data }: Frame): string {
    if (this.#framing === 'json-array') {
      const before = this.#first ? '[' : ',\r\n';
      this.#first = false;
      return `${before}${data}`;
    }
    const lines = data.includes('\n') ? data.replaceAll('\n', '\ndata: ') : data;
    return `${name === null ? '' : `event: ${name}\n`}data: ${lines}\n\n`;
  }
}
