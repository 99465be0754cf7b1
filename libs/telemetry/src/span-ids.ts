import { createHash, randomBytes } from 'node:crypto';

const prefixLength = 6;
const randomBytesOfSpan = 5;
const bytesOfTrace = 16;

/**
 * Returns six hex digits with which all span ids of a process begin. If a parent span is missing in a trace, these digits identify the process that should have exported
 * the span, but may have been killed before. The other 40 bits of a span id are enough to make the id unique within a trace.
 */
export const spanIdPrefix = (serviceName: string, instanceId: string): string =>
  createHash('sha256').update(`${serviceName}/${instanceId}`).digest('hex').slice(0, prefixLength);

/** Prefix of the ids of stored spans. These ids are derived from a text and not random; see stored-span.ts. */
export const storedSpanIdPrefix = spanIdPrefix('stored', '');

/** Returns the id of a stored span. Every process derives the same id from the same trace and text. */
export const storedSpanIdOf = (traceId: string, what: string): string =>
  storedSpanIdPrefix +
  createHash('sha256')
    .update(`${traceId}/${what}`)
    .digest('hex')
    .slice(0, 2 * randomBytesOfSpan);

let given: string | null = null;

/** Runs `start`, which must start a span, and gives the span this id. This works since OpenTelemetry calls the id generator synchronously. OpenTelemetry has no other way to set an id. */
export function withSpanId<Result>(spanId: string, start: () => Result): Result {
  given = spanId;
  try {
    return start();
  } finally {
    given = null;
  }
}

/** Creates an id generator for OpenTelemetry. Its span ids begin with the prefix. */
export function idGenerator(prefix: string): { generateTraceId(): string; generateSpanId(): string } {
  return {
    generateTraceId: () => randomBytes(bytesOfTrace).toString('hex'),
    generateSpanId: () => given ?? prefix + randomBytes(randomBytesOfSpan).toString('hex'),
  };
}
