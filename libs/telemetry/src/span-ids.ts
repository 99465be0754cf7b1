import { createHash, randomBytes } from 'node:crypto';

const prefixLength = 6;
const randomBytesOfSpan = 5;
const bytesOfTrace = 16;

/**
 * The first six hex digits of every span id of a process: whoever misses a span can tell whose it was, though it was never exported since the
 * process was killed. The 40 bits that are left are enough to be unique within a trace.
 */
export const spanIdPrefix = (serviceName: string, instanceId: string): string =>
  createHash('sha256').update(`${serviceName}/${instanceId}`).digest('hex').slice(0, prefixLength);

/** Of the spans whose ids no process has drawn: see stored-span.ts. */
export const storedSpanIdPrefix = spanIdPrefix('stored', '');

/** The same for the same trace and text, whoever asks. */
export const storedSpanIdOf = (traceId: string, what: string): string =>
  storedSpanIdPrefix +
  createHash('sha256')
    .update(`${traceId}/${what}`)
    .digest('hex')
    .slice(0, 2 * randomBytesOfSpan);

let given: string | null = null;

/** The span that `start` starts gets this id: OpenTelemetry asks nobody but the generator for one, and starts a span in one go. */
export function withSpanId<Result>(spanId: string, start: () => Result): Result {
  given = spanId;
  try {
    return start();
  } finally {
    given = null;
  }
}

/** OpenTelemetry's IdGenerator. */
export function idGenerator(prefix: string): { generateTraceId(): string; generateSpanId(): string } {
  return {
    generateTraceId: () => randomBytes(bytesOfTrace).toString('hex'),
    generateSpanId: () => given ?? prefix + randomBytes(randomBytesOfSpan).toString('hex'),
  };
}
