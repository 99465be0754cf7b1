import { createHash, randomBytes } from 'node:crypto';

const prefixLength = 6;
const randomBytesOfSpan = 5;
const bytesOfTrace = 16;

/**
 * Returns the first six hex digits of all span ids of a process. If a parent span is missing, they identify its process, which may have been killed before it exported
 * the span. The remaining 40 bits are enough to be unique within a trace.
 */
export const spanIdPrefix = (serviceName: string, instanceId: string): string =>
  createHash('sha256').update(`${serviceName}/${instanceId}`).digest('hex').slice(0, prefixLength);

/** Prefix of the span ids that are derived instead of random; see stored-span.ts. */
export const storedSpanIdPrefix = spanIdPrefix('stored', '');

/** Returns the id of a stored span. Every process derives the same id from the same trace and text. */
export const storedSpanIdOf = (traceId: string, what: string): string =>
  storedSpanIdPrefix +
  createHash('sha256')
    .update(`${traceId}/${what}`)
    .digest('hex')
    .slice(0, 2 * randomBytesOfSpan);

let given: string | null = null;

/** Runs `start`, which must start a span, and gives that span this id. OpenTelemetry calls the id generator synchronously, and has no other way to set an id. */
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
