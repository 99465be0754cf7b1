/**
 * Tells one answer as it comes, in messages that are counted.
 *
 * Invariants:
 * 1. The messages of an answer are numbered from 0 without a gap: a client that finds one has lost something.
 * 2. A piece that is too large for one message is told in several; a character is never divided.
 * 3. Nothing more is asked of the provider while the NATS server has yet to take more than `unflushedBytesMax` of what was sent.
 */
import { once } from 'node:events';
import type { Answer } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import type { ChatMessage } from '@coppice/contracts';
import type { ModelDelta } from '../../provider/port.ts';
import type { BusDoorLimits } from './limits.ts';

/** Where it is told. */
type Heard = Pick<Answer, 'send' | 'flushed' | 'bytesMax'>;

/** A message before it has its number. */
type Unnumbered<Message> = Message extends unknown ? Omit<Message, 'sequence'> : never;
export type ChatNews = Unnumbered<ChatMessage>;
export type OutputDelta = Extract<ModelDelta, { type: 'text-delta' | 'thinking-delta' | 'tool-call-delta' }>;

/** In JSON a UTF-16 unit takes at most six bytes. */
const bytesPerCharacterMax = 6;

export class Teller {
  readonly #answer: Heard;
  readonly #limits: BusDoorLimits;
  /** Ends a wait for the server. */
  readonly #signal: AbortSignal;
  readonly #pieceCharactersMax: number;
  #sequence = 0;
  #unflushedBytes = 0;
  #silent = false;

  constructor(answer: Heard, { limits, signal }: { limits: BusDoorLimits; signal: AbortSignal }) {
    this.#answer = answer;
    this.#limits = limits;
    this.#signal = signal;
    const bytesMax = answer.bytesMax - limits.aroundPieceBytesMax;
    this.#pieceCharactersMax = Math.max(2, Math.floor(bytesMax / bytesPerCharacterMax));
  }

  numbered(news: ChatNews): ChatMessage {
    return { ...news, sequence: this.#sequence++ };
  }

  /** @throws CoppiceError `limit-exceeded` where it is too large. */
  tell(news: ChatNews): void {
    this.#unflushedBytes += this.#answer.send(this.numbered(news));
    this.#silent = false;
  }

  /** @throws the signal's reason; CoppiceError `unavailable` where the connection was lost, and perhaps with it what was sent. */
  async tellDelta(delta: OutputDelta): Promise<void> {
    for (const piece of inPieces(delta, this.#pieceCharactersMax)) {
      this.tell(piece);
      if (this.#unflushedBytes >= this.#limits.unflushedBytesMax) await this.#flushed();
    }
  }

  /** Called now and then: what a client hears where the model says nothing from one call to the next. Never throws. */
  tellIfSilent(): void {
    try {
      if (this.#silent) this.tell({ type: 'waiting' });
      this.#silent = true;
    } catch {
      // The connection is closed: the next piece of the answer meets the same.
    }
  }

  async #flushed(): Promise<void> {
    this.#signal.throwIfAborted();
    this.#unflushedBytes = 0;
    const done = new AbortController();
    const aborted = once(this.#signal, 'abort', { signal: done.signal }).then(() => this.#signal.throwIfAborted());
    // Whichever comes second is nobody's business any more.
    aborted.catch(() => {});
    try {
      await Promise.race([this.#answer.flushed(), aborted]);
    } catch (cause) {
      this.#signal.throwIfAborted();
      throw new CoppiceError('unavailable', "the gateway's connection to the NATS server was lost", { cause });
    } finally {
      done.abort();
    }
  }
}

function* inPieces(delta: OutputDelta, charactersMax: number): Generator<ChatNews> {
  const whole = delta.type === 'tool-call-delta' ? delta.arguments : delta.text;
  const { signature, ...unsigned } = delta;
  if (whole.length + (signature?.value.length ?? 0) <= charactersMax) {
    yield delta;
    return;
  }
  for (let from = 0; from < whole.length;) {
    const to = endOfPiece(whole, from + charactersMax);
    yield withText(unsigned, whole.slice(from, to));
    from = to;
  }
  if (signature !== undefined) yield { ...withText(unsigned, ''), signature };
}

/** Not between the two units of one character. */
function endOfPiece(text: string, end: number): number {
  const last = text.charCodeAt(end - 1);
  return end < text.length && last >= 0xd8_00 && last <= 0xdb_ff ? end - 1 : end;
}

const withText = (delta: OutputDelta, text: string): OutputDelta =>
  delta.type === 'tool-call-delta' ? { ...delta, arguments: text } : { ...delta, text };
