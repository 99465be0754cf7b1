import { createHash, randomBytes } from 'node:crypto';

const prefixLength = 6;
const randomBytesOfSpan = 5;
const bytesOfTrace = 16;

/**
 * Returns the first six hex digits of all span ids of a process. They identify the process of a missing span, for example one that was not exported because the
 * process was killed. The remaining 40 bits are enough to be unique within a trace.
 */
export const spanIdPrefix = (serviceName: string, instanceId: string): string =>
  createHash('sha256').update(`${serviceName}/${instanceId}`).digest('hex').slice(0, prefixLength);

/** Prefix of span ids that are derived and not random: see stored-span.ts. */
export const storedSpanIdPrefix = spanIdPrefix('stored', '');

/** Returns the id of a stored span; the same for the same trace and text in every process. */
export const storedSpanIdOf = (traceId: string, what: string): string =>
  storedSpanIdPrefix +
  createHash('sha256')
    .update(`${traceId}/${what}`)
    .digest('hex')
    .slice(0, 2 * randomBytesOfSpan);

let given: string | null = null;

/** Runs `start` so that the span it starts gets this id. OpenTelemetry takes ids only from the generator, and starts a span synchronously. */
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
