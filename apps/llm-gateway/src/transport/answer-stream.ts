import type { ModelDelta } from '../provider/port.ts';
import { EventReader } from './event-reader.ts';
import type { StreamEvent } from './event-reader.ts';
import { jsonOf } from './json.ts';
import { httpLimits } from './limits.ts';
import { LineReader } from './line-reader.ts';
import type { AnswerReader, Wire } from './wire.ts';

const readers = { 'server-sent-events': EventReader, 'json-lines': LineReader } as const;

/**
 * Converts the bytes of a streamed answer to deltas. The result doesn't depend on how the bytes are split. The caller
 * must read each iterable to its end before the next call. If the reader throws an error, the iterable first yields the
 * deltas before the error.
 */
export class AnswerStream {
  readonly #reader: AnswerReader;
  readonly #events: EventReader | LineReader;
  readonly #raw: boolean;
  #eventsSeen = 0;
  #eventsRead = 0;

  /** @param raw true to also yield each event unchanged */
  constructor(framing: Wire['framing'], reader: AnswerReader, raw: boolean) {
    this.#reader = reader;
    this.#events = new readers[framing](httpLimits.eventCharactersMax);
    this.#raw = raw;
  }

  /** Number of received events, including ignored ones. */
  get eventsSeen(): number {
    return this.#eventsSeen;
  }

  /** Number of events passed to the reader. */
  get eventsRead(): number {
    return this.#eventsRead;
  }

  /** Size of the incomplete event, in characters. An estimate that is never too low. */
  get halfReadCharacters(): number {
    return this.#events.halfReadCharacters;
  }

  /**
   * Yields the deltas of the events that these bytes complete.
   * @throws EventTooLarge, CoppiceError.
   */
  *read(bytes: Uint8Array): Iterable<ModelDelta> {
    for (const event of this.#events.read(bytes)) yield* this.#take(event);
  }

  /**
   * Yields the deltas of an event that is incomplete at the end of the stream. Doesn't call the reader's `end`.
   * @throws as `read`.
   */
  *end(): Iterable<ModelDelta> {
    for (const event of this.#events.end()) yield* this.#take(event);
  }

  *#take(event: StreamEvent): Iterable<ModelDelta> {
    this.#eventsSeen++;
    // The rest of the stream is still read. Otherwise the connection couldn't be reused.
    if (this.#reader.ended) return;
    if (event.data.trim() === '' && event.name !== 'error') return;
    // Skips an incomplete event of a cut stream. The missing `response-end` reports the cut.
    if (!event.complete && jsonOf(event.data) === undefined) return;
    this.#eventsRead++;
    const deltas = this.#reader.event(event);
    if (this.#raw) yield { type: 'raw', whole: false, name: event.name, data: event.data };
    yield* deltas;
  }
}
