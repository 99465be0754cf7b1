import { createWriteStream, type WriteStream } from 'node:fs';
import { liveBufferBytesMax, liveChunkBytesMax, logBytesMax } from './limits.ts';
import type { CapturedOutput, OutputChunk } from './port.ts';

const headBytesAtFirst = 4096;

/** Keeps the first and the last `keepBytes` bytes of a stream of any length. */
export class BoundedCapture {
  readonly #keepBytes: number;
  #head = Buffer.alloc(0);
  #headBytes = 0;
  /** Ring buffer, allocated when the head is full. The next byte is written at `#tailAt`. */
  #tail: Buffer | undefined;
  #tailAt = 0;
  #totalBytes = 0;

  constructor(keepBytes: number) {
    this.#keepBytes = keepBytes;
  }

  push(chunk: Buffer): void {
    this.#totalBytes += chunk.length;
    const headPart = chunk.subarray(0, this.#keepBytes - this.#headBytes);
    if (headPart.length > 0) this.#pushHead(headPart);
    if (headPart.length < chunk.length) this.#pushTail(chunk.subarray(headPart.length));
  }

  #pushHead(part: Buffer): void {
    const bytes = this.#headBytes + part.length;
    if (bytes > this.#head.length) {
      const size = Math.max(bytes, this.#head.length * 2, headBytesAtFirst);
      const grown = Buffer.alloc(Math.min(size, this.#keepBytes));
      this.#head.copy(grown, 0, 0, this.#headBytes);
      this.#head = grown;
    }
    part.copy(this.#head, this.#headBytes);
    this.#headBytes = bytes;
  }

  #pushTail(rest: Buffer): void {
    const tail = (this.#tail ??= Buffer.alloc(this.#keepBytes));
    const part = rest.subarray(Math.max(0, rest.length - tail.length));
    const untilEnd = part.copy(tail, this.#tailAt);
    part.copy(tail, 0, untilEnd);
    this.#tailAt = (this.#tailAt + part.length) % tail.length;
  }

  result(): CapturedOutput {
    const head = this.#head.subarray(0, this.#headBytes);
    const afterHead = this.#totalBytes - this.#headBytes;
    const missing = Math.max(0, afterHead - this.#keepBytes);
    const tail = this.#orderedTail(afterHead);
    const totalBytes = this.#totalBytes;
    if (missing === 0) return { text: Buffer.concat([head, tail]).toString('utf8'), totalBytes, truncated: false };
    const text = `${head.toString('utf8')}\n… ${missing} bytes left out …\n${tail.toString('utf8')}`;
    return { text, totalBytes, truncated: true };
  }

  #orderedTail(afterHead: number): Buffer {
    if (this.#tail === undefined) return Buffer.alloc(0);
    if (afterHead < this.#keepBytes) return this.#tail.subarray(0, afterHead);
    return Buffer.concat([this.#tail.subarray(this.#tailAt), this.#tail.subarray(0, this.#tailAt)]);
  }
}

type Waiting = { stream: 'stdout' | 'stderr'; parts: Buffer[]; bytes: number; droppedBytes: number };

/**
 * Passes output to a consumer, one call at a time. A full buffer drops its oldest output and counts it, since a failing
 * command prints the reason at the end.
 */
export class LiveOutput {
  readonly #consumer: (chunk: OutputChunk) => void | Promise<void>;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  /** Bytes dropped at the end of the output. The last chunk reports them. */
  #droppedBytes = 0;
  #droppedOf: 'stdout' | 'stderr' = 'stdout';
  #pumping: Promise<void> | undefined;
  #broken = false;
  #ended = false;

  constructor(consumer: (chunk: OutputChunk) => void | Promise<void>) {
    this.#consumer = consumer;
  }

  push(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    if (this.#broken || this.#ended) return;
    const kept = chunk.subarray(Math.max(0, chunk.length - liveBufferBytesMax));
    let droppedBytes = chunk.length - kept.length;
    while (this.#waitingBytes + kept.length > liveBufferBytesMax) {
      const oldest = this.#waiting.shift() as Waiting;
      this.#waitingBytes -= oldest.bytes;
      const next = this.#waiting[0];
      if (next === undefined) droppedBytes += oldest.bytes + oldest.droppedBytes;
      else next.droppedBytes += oldest.bytes + oldest.droppedBytes;
    }
    this.#waitingBytes += kept.length;
    const last = this.#waiting.at(-1);
    if (last !== undefined && last.stream === stream && last.bytes < liveChunkBytesMax && droppedBytes === 0) {
      last.parts.push(kept);
      last.bytes += kept.length;
    } else {
      this.#waiting.push({ stream, parts: [kept], bytes: kept.length, droppedBytes });
    }
    this.#pumping ??= this.#pump().finally(() => (this.#pumping = undefined));
  }

  async #pump(): Promise<void> {
    try {
      // This await joins a burst of small chunks into one chunk.
      await Promise.resolve();
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
        this.#waitingBytes -= next.bytes;
        const bytes = Buffer.concat(next.parts);
        for (let start = 0; start < bytes.length; start += liveChunkBytesMax) {
          const droppedBytes = start === 0 ? next.droppedBytes : 0;
          await this.#consumer({
            stream: next.stream,
            bytes: bytes.subarray(start, start + liveChunkBytesMax),
            droppedBytes,
          });
        }
      }
      if (!this.#ended || this.#droppedBytes === 0) return;
      const [stream, droppedBytes] = [this.#droppedOf, this.#droppedBytes];
      this.#droppedBytes = 0;
      await this.#consumer({ stream, bytes: Buffer.alloc(0), droppedBytes });
    } catch {
      this.#broken = true;
      this.#waiting = [];
    }
  }

  /**
   * Waits at most `waitMs` until the consumer has received all output, since live output must not delay a result. Then
   * drops the remaining output. When the consumer's current call settles, the consumer gets a last chunk with the
   * number of dropped bytes.
   */
  async finish(waitMs: number): Promise<void> {
    this.#ended = true;
    this.#pumping ??= this.#pump().finally(() => (this.#pumping = undefined));
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => (timer = setTimeout(resolve, waitMs)));
    await Promise.race([this.#pumping, timeout]);
    clearTimeout(timer);
    for (const next of this.#waiting) {
      this.#droppedBytes += next.bytes + next.droppedBytes;
      this.#droppedOf = next.stream;
    }
    this.#waiting = [];
  }
}

/** A file with the whole output, up to `logBytesMax`. */
export class LogFile {
  readonly #stream: WriteStream;
  readonly #failure: Promise<Error>;
  #bytes = 0;
  #truncated = false;
  #failed = false;

  constructor(path: string) {
    this.#stream = createWriteStream(path, { mode: 0o600 });
    this.#failure = new Promise((resolve) => {
      this.#stream.on('error', (error) => {
        this.#failed = true;
        this.#truncated = true;
        resolve(error);
      });
    });
  }

  /** Returns false if the disk is slow. The source must then pause until `drained()` resolves. */
  write(chunk: Buffer): boolean {
    if (this.#failed) return true;
    const part = chunk.subarray(0, logBytesMax - this.#bytes);
    if (part.length < chunk.length) this.#truncated = true;
    if (part.length === 0) return true;
    this.#bytes += part.length;
    return this.#stream.write(part);
  }

  async drained(): Promise<void> {
    if (this.#failed || !this.#stream.writableNeedDrain) return;
    await Promise.race([new Promise<void>((resolve) => this.#stream.once('drain', resolve)), this.#failure]);
  }

  async finish(): Promise<{ bytes: number; truncated: boolean }> {
    if (!this.#failed) await Promise.race([new Promise<void>((resolve) => this.#stream.end(resolve)), this.#failure]);
    return { bytes: this.#bytes, truncated: this.#truncated };
  }
}
