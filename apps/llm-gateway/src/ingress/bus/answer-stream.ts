/**
 * Streams one answer in numbered messages.
 *
 * Invariants:
 * 1. The messages of an answer are numbered from 0 without gaps. So a gap shows the client that messages were lost.
 * 2. A delta that is too large for one message is split into several messages. No character is split.
 * 3. After every `unflushedBytesMax` bytes, reading the provider's stream pauses until the NATS server has received
 *    everything.
 */
import type { Answer } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import type { ChatMessage } from '@coppice/contracts';
import { unlessAborted } from '../../awaiting.ts';
import type { OutputDelta } from '../../provider/port.ts';
import type { BusEndpointLimits } from './limits.ts';

type BusAnswer = Pick<Answer, 'send' | 'flushed' | 'bytesMax'>;

type Unnumbered<Message> = Message extends unknown ? Omit<Message, 'sequence'> : never;
export type ChatNews = Unnumbered<ChatMessage>;

/** Maximum number of bytes that JSON needs for one UTF-16 code unit. */
const bytesPerCharacterMax = 6;

export class AnswerStream {
  readonly #answer: BusAnswer;
  readonly #limits: BusEndpointLimits;
  /** Aborts waits for the NATS server. */
  readonly #signal: AbortSignal;
  readonly #pieceCharactersMax: number;
  #sequence = 0;
  #unflushedBytes = 0;
  #silent = false;

  constructor(answer: BusAnswer, { limits, signal }: { limits: BusEndpointLimits; signal: AbortSignal }) {
    this.#answer = answer;
    this.#limits = limits;
    this.#signal = signal;
    const bytesMax = answer.bytesMax - limits.aroundPieceBytesMax;
    this.#pieceCharactersMax = Math.max(2, Math.floor(bytesMax / bytesPerCharacterMax));
  }

  numbered(news: ChatNews): ChatMessage {
    return { ...news, sequence: this.#sequence++ };
  }

  /** @throws CoppiceError `limit-exceeded` if the message is too large. */
  send(news: ChatNews): void {
    this.#unflushedBytes += this.#answer.send(this.numbered(news));
    this.#silent = false;
  }

  /**
   * @throws the signal's reason; CoppiceError `unavailable` if the connection was lost. In that case, messages that
   * were already sent may be lost, too.
   */
  async sendDelta(delta: OutputDelta): Promise<void> {
    for (const piece of inPieces(delta, this.#pieceCharactersMax)) {
      this.send(piece);
      if (this.#unflushedBytes >= this.#limits.unflushedBytesMax) await this.#flushed();
    }
  }

  /**
   * Sends the message `waiting` if no other message was sent since the previous run. A timer runs this function. Never
   * throws.
   */
  sendIfSilent(): void {
    try {
      if (this.#silent) this.send({ type: 'waiting' });
      this.#silent = true;
    } catch {
      // The connection is closed. This error may be ignored, since sending the next delta throws it again.
    }
  }

  async #flushed(): Promise<void> {
    this.#signal.throwIfAborted();
    this.#unflushedBytes = 0;
    try {
      await unlessAborted(this.#answer.flushed(), this.#signal);
    } catch (cause) {
      this.#signal.throwIfAborted();
      throw new CoppiceError('unavailable', "the gateway's connection to the NATS server was lost", { cause });
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

/** Returns `end`. Returns `end - 1` if a cut at `end` would split a surrogate pair. */
function endOfPiece(text: string, end: number): number {
  const last = text.charCodeAt(end - 1);
  return end < text.length && last >= 0xd8_00 && last <= 0xdb_ff ? end - 1 : end;
}

const withText = (delta: OutputDelta, text: string): OutputDelta =>
  delta.type === 'tool-call-delta' ? { ...delta, arguments: text } : { ...delta, text };
