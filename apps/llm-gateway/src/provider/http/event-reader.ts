import { createParser } from 'eventsource-parser';

/** `name` is the event's type, or null. `complete`: whether the blank line came that ends an event. */
export type StreamEvent = { name: string | null; data: string; complete: boolean };

/** @throws by the reader, when an event or a line is larger than allowed. */
export class EventTooLarge extends Error {
  override readonly name = 'EventTooLarge';
}

/**
 * Bytes to server-sent events: any split of the same bytes gives the same events. A field `error:` without an event around it, which llama.cpp's
 * server wrote for a time, comes as an event of that name.
 */
export class EventReader {
  readonly #charactersMax: number;
  readonly #decoder = new TextDecoder();
  /** The beginning of a line. The parser is given whole lines: what can't become a field it drops without a word while it is incomplete. */
  #line: string[] = [];
  #lineCharacters = 0;
  #heldReturn = '';
  /** Of the lines that the parser may hold of an event. */
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

  /** The events that these bytes complete. @throws EventTooLarge. */
  read(bytes: Uint8Array): StreamEvent[] {
    return this.#feed(this.#decoder.decode(bytes, { stream: true }));
  }

  /** What the stream's end leaves: an event whose blank line is missing. */
  end(): StreamEvent[] {
    const rest = this.#decoder.decode();
    // A carriage return at the very end is a whole line's end now.
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
    // An event that ended in between took with it what was before it.
    else this.#parsedCharacters = lines.length + (this.#events.length > 0 ? 0 : this.#parsedCharacters);
  }

  #wholeLines(added: string): string {
    let text = `${this.#heldReturn}${added}`;
    this.#heldReturn = '';
    if (text.endsWith('\r')) {
      // Perhaps the first half of a line's end.
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

/** Blank lines: one of white space is none. */
const onlyEnds = /^[\r\n]+$/;
/** A line's end, and a blank line. */
const eventEnds = ['\n\n', '\r\r', '\r\n\r\n'];
