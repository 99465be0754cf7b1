import { EventTooLarge } from './event-reader.ts';
import type { StreamEvent } from './event-reader.ts';

/**
 * Converts bytes to lines. Each line is an event without a name. Empty lines are skipped. The result doesn't depend on
 * how the bytes are split.
 */
export class LineReader {
  readonly #charactersMax: number;
  readonly #decoder = new TextDecoder();
  #line: string[] = [];
  #lineCharacters = 0;

  constructor(charactersMax: number) {
    this.#charactersMax = charactersMax;
  }

  get halfReadCharacters(): number {
    return this.#lineCharacters;
  }

  /**
   * Returns the lines that these bytes complete.
   * @throws EventTooLarge.
   */
  read(bytes: Uint8Array): StreamEvent[] {
    return this.#feed(this.#decoder.decode(bytes, { stream: true }));
  }

  /** Returns the last line if its line end is missing. */
  end(): StreamEvent[] {
    const events = this.#feed(this.#decoder.decode());
    return [...events, ...eventOf(this.#line.splice(0).join(''), false)];
  }

  #feed(text: string): StreamEvent[] {
    const lines = text.split('\n');
    const rest = lines.pop() ?? '';
    const events: StreamEvent[] = [];
    for (const line of lines) {
      events.push(...eventOf([...this.#line, line].join(''), true));
      this.#line = [];
      this.#lineCharacters = 0;
    }
    if (rest !== '') this.#line.push(rest);
    this.#lineCharacters += rest.length;
    const largest = Math.max(this.#lineCharacters, ...events.map(({ data }) => data.length));
    if (largest > this.#charactersMax) throw new EventTooLarge(`a line of more than ${this.#charactersMax} characters`);
    return events;
  }
}

const eventOf = (line: string, complete: boolean): StreamEvent[] =>
  line.trim() === '' ? [] : [{ name: null, data: line.trim(), complete }];
