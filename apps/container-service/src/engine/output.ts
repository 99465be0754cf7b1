import { createWriteStream, type WriteStream } from 'node:fs';
import { liveBufferBytesMax, liveChunkBytesMax, logBytesMax } from './limits.ts';
import type { CapturedOutput, OutputChunk } from './port.ts';

/** Keeps the first and the last `keepBytes` of a stream, however long it gets. */
export class BoundedCapture {
  readonly #keepBytes: number;
  readonly #head: Buffer[] = [];
  #headBytes = 0;
  /** Whole chunks of at most `keepBytes`, of which the oldest go as soon as the younger ones are enough. */
  #tail: Buffer[] = [];
  #tailBytes = 0;
  #totalBytes = 0;

  constructor(keepBytes: number) {
    this.#keepBytes = keepBytes;
  }

  push(chunk: Buffer): void {
    this.#totalBytes += chunk.length;
    const headPart = chunk.subarray(0, this.#keepBytes - this.#headBytes);
    if (headPart.length > 0) {
      // Copied: a slice would keep its whole (pooled or large) buffer alive.
      this.#head.push(Buffer.from(headPart));
      this.#headBytes += headPart.length;
    }
    const rest = chunk.subarray(headPart.length);
    if (rest.length === 0) return;
    const tailPart = Buffer.from(rest.subarray(Math.max(0, rest.length - this.#keepBytes)));
    this.#tail.push(tailPart);
    this.#tailBytes += tailPart.length;
    this.#trimTail();
  }

  #trimTail(): void {
    let first = this.#tail[0];
    while (first !== undefined && this.#tailBytes - first.length >= this.#keepBytes) {
      this.#tail.shift();
      this.#tailBytes -= first.length;
      first = this.#tail[0];
    }
    // A flood of tiny chunks would keep an array entry for each of them.
    if (this.#tail.length > 1024) this.#tail = [Buffer.concat(this.#tail)];
  }

  result(): CapturedOutput {
    const head = Buffer.concat(this.#head);
    const tailKept = Buffer.concat(this.#tail);
    const tail = tailKept.subarray(Math.max(0, tailKept.length - this.#keepBytes));
    const missing = this.#totalBytes - head.length - tail.length;
    if (missing === 0) {
      return { text: Buffer.concat([head, tail]).toString('utf8'), totalBytes: this.#totalBytes, truncated: false };
    }
    const text = `${head.toString('utf8')}\n… ${missing} bytes left out …\n${tail.toString('utf8')}`;
    return { text, totalBytes: this.#totalBytes, truncated: true };
  }
}

/** Hands output to a consumer that may be slow, one call at a time, and drops (and counts) what it can't keep up with. */
export class LiveOutput {
  readonly #consumer: (chunk: OutputChunk) => void | Promise<void>;
  #waiting: { stream: 'stdout' | 'stderr'; parts: Buffer[]; bytes: number; droppedBytes: number }[] = [];
  #waitingBytes = 0;
  #droppedBytes = 0;
  #pumping: Promise<void> | undefined;
  #broken = false;

  constructor(consumer: (chunk: OutputChunk) => void | Promise<void>) {
    this.#consumer = consumer;
  }

  push(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    if (this.#broken) return;
    if (this.#waitingBytes + chunk.length > liveBufferBytesMax) {
      this.#droppedBytes += chunk.length;
      return;
    }
    this.#waitingBytes += chunk.length;
    const last = this.#waiting.at(-1);
    if (last !== undefined && last.stream === stream && last.bytes < liveChunkBytesMax && this.#droppedBytes === 0) {
      last.parts.push(chunk);
      last.bytes += chunk.length;
    } else {
      this.#waiting.push({ stream, parts: [chunk], bytes: chunk.length, droppedBytes: this.#droppedBytes });
      this.#droppedBytes = 0;
    }
    this.#pumping ??= this.#pump().finally(() => (this.#pumping = undefined));
  }

  async #pump(): Promise<void> {
    try {
      // The first await lets a burst of small chunks become one.
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
    } catch {
      this.#broken = true;
      this.#waiting = [];
    }
  }

  /** Waits for the consumer, at most so long: live output is a courtesy and must not hold up a result. */
  async finish(waitMs: number): Promise<void> {
    if (this.#pumping === undefined) return;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => (timer = setTimeout(resolve, waitMs)));
    await Promise.race([this.#pumping, timeout]);
    clearTimeout(timer);
    this.#broken = true;
    this.#waiting = [];
  }
}

/** The whole output in a file, up to `logBytesMax`; asks its sources to pause while the disk is behind. */
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

  /** False when the source should pause until `drained()`. */
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
