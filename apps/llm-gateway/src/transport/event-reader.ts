import { createParser } from 'eventsource-parser';

/** A server-sent event. `name` is its type, or null. `complete` is true if the blank line after the event arrived. */
export type StreamEvent = { name: string | null; data: string; complete: boolean };

/** Error for an event or a line that exceeds the limit. */
export class EventTooLarge extends Error {
  override readonly name = 'EventTooLarge';
}

/**
 * Converts bytes to server-sent events. The result doesn't depend on how the bytes are split. Some versions of
 * llama.cpp's server send a field `error:` outside of an event, which becomes an event of that name.
 */
export class EventReader {
  readonly #charactersMax: number;
  readonly #decoder = new TextDecoder();
  /**
   * Beginning of an incomplete line. The parser gets only whole lines, since it silently drops an incomplete line that
   * can't become a field.
   */
  #line: string[] = [];
  #lineCharacters = 0;
  #heldReturn = '';
  /** Characters of the incomplete event that the parser may have in memory. */
  #parsedCharacters = 0;
  #events: StreamEvent[] = [];
  #complete = true;
  #tooLarge = false;
  readonly #parser;

  constructor(charactersMax: number) {
    this.#charactersMax = charactersMax;
    this.#parser = createParser({
      maxBufferSize: charactersMax,
      onEvent: ({ event, data }) => this.#events.push({ name: event ?? null, data, complete: this.#complete }),
      onError: ({ type, field, value }) => {
        if (type === 'max-buffer-size-exceeded') this.#tooLarge = true;
        else if (field === 'error') this.#events.push({ name: 'error', data: value ?? '', complete: true });
      },
    });
  }

  get halfReadCharacters(): number {
    return this.#lineCharacters + this.#parsedCharacters;
  }

  /**
   * Returns the events that these bytes complete.
   * @throws EventTooLarge.
   */
  read(bytes: Uint8Array): StreamEvent[] {
    return this.#feed(this.#decoder.decode(bytes, { stream: true }));
  }

  /** Returns the last event if the blank line after it is missing. */
  end(): StreamEvent[] {
    const rest = this.#decoder.decode();
    // A carriage return at the end of the stream is a line end, so it needs no line feed.
    const events = this.#feed(`${this.#heldReturn}${rest}`.endsWith('\r') ? `${rest}\n` : rest);
    this.#complete = false;
    return [...events, ...this.#feed('\n\n')];
  }

  #feed(text: string): StreamEvent[] {
    const lines = this.#wholeLines(text);
    if (lines !== '') this.#parse(lines);
    if (this.#tooLarge || this.#lineCharacters > this.#charactersMax) {
      throw new EventTooLarge(`an event of more than ${this.#charactersMax} characters`);
    }
    const events = this.#events;
    this.#events = [];
    return events;
  }

  #parse(lines: string): void {
    this.#parser.feed(lines);
    if (eventEnds.some((end) => lines.endsWith(end)) || onlyEnds.test(lines)) this.#parsedCharacters = 0;
    // If an event ended in these lines, the parser has nothing in memory from before them.
    else this.#parsedCharacters = lines.length + (this.#events.length > 0 ? 0 : this.#parsedCharacters);
  }

  #wholeLines(added: string): string {
    let text = `${this.#heldReturn}${added}`;
    this.#heldReturn = '';
    if (text.endsWith('\r')) {
      // A final `\r` may be the first half of `\r\n`.
      this.#heldReturn = '\r';
      text = text.slice(0, -1);
    }
    const end = Math.max(text.lastIndexOf('\n'), text.lastIndexOf('\r')) + 1;
    const rest = text.slice(end);
    if (end === 0) {
      if (rest !== '') this.#line.push(rest);
      this.#lineCharacters += rest.length;
      return '';
    }
    const lines = [...this.#line, text.slice(0, end)].join('');
    this.#line = rest === '' ? [] : [rest];
    this.#lineCharacters = rest.length;
    return lines;
  }
}

/** Only line ends. A line of white space isn't blank. */
const onlyEnds = /^[\r\n]+$/;
/** A line end followed by a blank line. */
const eventEnds = ['\n\n', '\r\r', '\r\n\r\n'];
