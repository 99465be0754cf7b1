import { CoppiceError } from '@coppice/contracts';
import type { ModelUsage } from '@coppice/contracts';
import type { Answer } from './collect.ts';
import type { ModelRequest, ProviderImage, ProviderMessage, ProviderPart, UsageSoFar } from './provider/port.ts';

/** Rule of thumb, for providers that report no counts. */
const bytesPerToken = 4;

export const estimatedTokens = (bytes: number): number => Math.ceil(bytes / bytesPerToken);

/**
 * Adds estimates for missing counts to the usage of an answer that began. A cut stream has no usage, and some servers
 * never report it. Budgets and the compaction of conversations need these counts.
 */
export function withEstimates(usage: UsageSoFar, request: MeasuredRequest, outputBytes: number) {
  const inputTokens = usage.inputTokens ?? estimatedTokens(bytesOfRequest(request));
  return { ...usage, inputTokens, outputTokens: usage.outputTokens ?? estimatedTokens(outputBytes) };
}

/** A count above these limits must be wrong. */
const plausible = { tokensMax: 1e9, costUsdMax: 1e5 } as const;

export function plausibleOf(usage: UsageSoFar): UsageSoFar {
  const counts = Object.entries(usage);
  return counts.every(isPlausible) ? usage : Object.fromEntries(counts.filter(isPlausible));
}

const isPlausible = ([name, count]: [string, number]): boolean =>
  name === 'costUsd'
    ? count >= 0 && count <= plausible.costUsdMax
    : Number.isInteger(count) && count >= 0 && count <= plausible.tokensMax;

type MeasuredRequest = Pick<ModelRequest, 'messages' | 'tools' | 'bytes'>;

/** Returns the bytes of the texts, inline images and tools, but at least the size of the client's body. */
export function bytesOfRequest({ messages, tools, bytes = 0 }: MeasuredRequest): number {
  const translated = bytesOfMessages(messages) + bytesOfJson(tools.length === 0 ? undefined : tools);
  return Math.max(translated, bytes);
}

const bytesOfJson = (value: unknown): number => (value === undefined ? 0 : Buffer.byteLength(JSON.stringify(value)));

function bytesOfMessages(messages: readonly ProviderMessage[]): number {
  let bytes = 0;
  for (const { content } of messages) for (const part of content) bytes += bytesOfPart(part);
  return bytes;
}

function bytesOfPart(part: ProviderPart): number {
  if (part.type === 'text' || part.type === 'thinking') return Buffer.byteLength(part.text);
  if (part.type === 'tool-call') return Buffer.byteLength(part.arguments);
  if (part.type === 'image') return bytesOfImage(part.image);
  return (part.images ?? []).reduce((sum, image) => sum + bytesOfImage(image), Buffer.byteLength(part.content));
}

const bytesOfImage = (image: ProviderImage): number => ('base64' in image ? image.base64.length : 0);

export const bytesOfAnswer = ({ text, toolCalls, thinking }: Pick<Answer, 'text' | 'toolCalls' | 'thinking'>): number =>
  [text, ...toolCalls.map((call) => call.arguments), ...thinking.map((thought) => thought.text)].reduce(
    (sum, each) => sum + Buffer.byteLength(each),
    0,
  );

const tokenCounts = [
  'inputTokens',
  'outputTokens',
  'cachedInputTokens',
  'cacheWriteInputTokens',
  'reasoningTokens',
] as const;

const reportedCounts = [...tokenCounts, 'costUsd'] as const;

/** Removes the counts that only prices need. */
export function reportedUsage(usage: UsageSoFar): UsageSoFar {
  const reported: UsageSoFar = {};
  for (const name of reportedCounts) if (usage[name] !== undefined) reported[name] = usage[name];
  return reported;
}

/**
 * The cost is known only if both costs are known, or one usage is zero. Otherwise part of the cost would be missing
 * from the total.
 */
export function sumOfUsage(first: UsageSoFar, second: UsageSoFar): UsageSoFar {
  if (isNothing(first)) return second;
  if (isNothing(second)) return first;
  const total: UsageSoFar = {};
  for (const name of tokenCounts) {
    const [one, other] = [first[name], second[name]];
    if (one !== undefined || other !== undefined) total[name] = (one ?? 0) + (other ?? 0);
  }
  if (first.costUsd !== undefined && second.costUsd !== undefined) total.costUsd = first.costUsd + second.costUsd;
  return total;
}

const isNothing = (usage: UsageSoFar): boolean => reportedCounts.every((name) => (usage[name] ?? 0) === 0);

export const toUsage = ({ inputTokens, outputTokens, costUsd, ...parts }: UsageSoFar): ModelUsage => ({
  inputTokens: inputTokens ?? 0,
  outputTokens: outputTokens ?? 0,
  costUsd: costUsd ?? null,
  ...parts,
});

/** Adds the usage of a failed call to its error, for the actor's budget. */
export function withUsage(
  error: CoppiceError,
  { attempts, usage }: { attempts: readonly unknown[]; usage: UsageSoFar },
): CoppiceError {
  const details = { ...error.details, attempts: attempts.length, usage: toUsage(usage) };
  return new CoppiceError(error.code, error.message, { cause: error, details, retryable: error.retryable });
}
