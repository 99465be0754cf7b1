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

/** OpenTelemetry's IdGenerator. */
export function idGenerator(prefix: string): { generateTraceId(): string; generateSpanId(): string } {
  return {
    generateTraceId: () => randomBytes(bytesOfTrace).toString('hex'),
    generateSpanId: () => prefix + randomBytes(randomBytesOfSpan).toString('hex'),
  };
}
