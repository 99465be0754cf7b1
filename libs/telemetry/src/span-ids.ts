import { createHash, randomBytes } from 'node:crypto';

const prefixLength = 6;
const randomBytesOfSpan = 5;
const bytesOfTrace = 16;

/**
 * Returns the six hex digits with which all span ids of a process begin. If a trace lacks a parent span, the digits
 * identify the process that didn't export the span, for example because the process was killed. The other 40 bits of a
 * span id are enough for a unique id within a trace.
 */
export const spanIdPrefix = (serviceName: string, instanceId: string): string =>
  createHash('sha256').update(`${serviceName}/${instanceId}`).digest('hex').slice(0, prefixLength);

/** Prefix of the ids of stored spans. See stored-span.ts. */
export const storedSpanIdPrefix = spanIdPrefix('stored', '');

/** Returns the id of a stored span. The id is a hash of the trace and the text, so every process gets the same id. */
export const storedSpanIdOf = (traceId: string, what: string): string =>
  storedSpanIdPrefix +
  createHash('sha256')
    .update(`${traceId}/${what}`)
    .digest('hex')
    .slice(0, 2 * randomBytesOfSpan);

let given: string | null = null;

/**
 * Gives this id to the span that `start` starts. OpenTelemetry has no option for a span's id, but calls the id
 * generator synchronously.
 */
export function withSpanId<Result>(spanId: string, start: () => Result): Result {
  given = spanId;
  try {
    return start();
  } finally {
    given = null;
  }
}

export function idGenerator(prefix: string): { generateTraceId(): string; generateSpanId(): string } {
  return {
    generateTraceId: () => randomBytes(bytesOfTrace).toString('hex'),
    generateSpanId: () => given ?? prefix + randomBytes(randomBytesOfSpan).toString('hex'),
  };
}
