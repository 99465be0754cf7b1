import type { ModelDelta } from '../port.ts';
import { EventReader } from './event-reader.ts';
import type { StreamEvent } from './event-reader.ts';
import { jsonOf } from './json.ts';
import { httpLimits } from './limits.ts';
import { LineReader } from './line-reader.ts';
import type { AnswerReader, Wire } from './wire.ts';

const readers = { 'server-sent-events': EventReader, 'json-lines': LineReader } as const;

/**
 * A streamed answer from its bytes to its deltas: any split of the same bytes gives the same deltas. Its iterables are to be read to their end, each before
 * the next; they throw what the reader throws, after the deltas of all that came before it.
 */
export class AnswerStream {
  readonly #reader: AnswerReader;
  readonly #events: EventReader | LineReader;
  readonly #raw: boolean;
  #eventsSeen = 0;
  #eventsRead = 0;

  /** `raw`: whether what comes is told as it came, too. */
  constructor(framing: Wire['framing'], reader: AnswerReader, raw: boolean) {
    this.#reader = reader;
    this.#events = new readers[framing](httpLimits.eventCharactersMax);
    this.#raw = raw;
  }

  /** How many came, those that say nothing included. */
  get eventsSeen(): number {
    return this.#eventsSeen;
  }

  /** How many the reader was given. */
  get eventsRead(): number {
    return this.#eventsRead;
  }

  /** Of the event that isn't complete; nearly so, and never too few. */
  get halfReadCharacters(): number {
    return this.#events.halfReadCharacters;
  }

  /** What these bytes complete. @throws EventTooLarge, CoppiceError. */
  *read(bytes: Uint8Array): Iterable<ModelDelta> {
    for (const event of this.#events.read(bytes)) yield* this.#take(event);
  }

  /** What the end of the bytes leaves; without the reader's own `end`. @throws as `read`. */
  *end(): Iterable<ModelDelta> {
    for (const event of this.#events.end()) yield* this.#take(event);
  }

  *#take(event: StreamEvent): Iterable<ModelDelta> {
    this.#eventsSeen++;
    // What follows is read to the end all the same, since only then the connection can be used again.
    if (this.#reader.ended) return;
    if (event.data.trim() === '' && event.name !== 'error') return;
    // The last event of a cut stream may be half of one: that it was cut is told by the missing end.
    if (!event.complete && jsonOf(event.data) === undefined) return;
    this.#eventsRead++;
    const deltas = this.#reader.event(event);
    if (this.#raw) yield { type: 'raw', whole: false, name: event.name, data: event.data };
    yield* deltas;
  }
}
