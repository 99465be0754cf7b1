import { CoppiceError } from '@coppice/contracts';
import type { ModelUsage } from '@coppice/contracts';
import type { Answer } from './collect.ts';
import type { ModelRequest, ProviderImage, ProviderMessage, ProviderPart, UsageSoFar } from './provider/port.ts';

/** A rule of thumb, for providers that count nothing. */
const bytesPerToken = 4;

export const estimatedTokens = (bytes: number): number => Math.ceil(bytes / bytesPerToken);

/**
 * What an answer that began has cost, with what its provider left uncounted estimated: a cut stream has no usage, and some servers never tell it, but
 * budgets and the compaction of a conversation go by it.
 */
export function withEstimates(usage: UsageSoFar, request: Asked, outputBytes: number) {
  const inputTokens = usage.inputTokens ?? estimatedTokens(bytesOfRequest(request));
  return { ...usage, inputTokens, outputTokens: usage.outputTokens ?? estimatedTokens(outputBytes) };
}

/** What one call can't use, whatever its provider says. */
const plausible = { tokensMax: 1e9, costUsdMax: 1e5 } as const;

/** Without the counts that can't be: of those the provider has told nothing. */
export function plausibleOf(usage: UsageSoFar): UsageSoFar {
  const counts = Object.entries(usage);
  return counts.every(isPlausible) ? usage : Object.fromEntries(counts.filter(isPlausible));
}

const isPlausible = ([name, count]: [string, number]): boolean =>
  name === 'costUsd'
    ? count >= 0 && count <= plausible.costUsdMax
    : Number.isInteger(count) && count >= 0 && count <= plausible.tokensMax;

type Asked = Pick<ModelRequest, 'messages' | 'tools' | 'bytes'>;

/** Of the texts, of images that come by value, and of the tools; of a request that came in at a door no less than its body. */
export function bytesOfRequest({ messages, tools, bytes = 0 }: Asked): number {
  const translated = bytesOfMessages(messages) + bytesOfJson(tools.length === 0 ? undefined : tools);
  return Math.max(translated, bytes);
}

const bytesOfJson = (value: unknown): number => (value === undefined ? 0 : Buffer.byteLength(JSON.stringify(value)));

/** Of the texts, and of images that come by value. */
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

const toldCounts = [...tokenCounts, 'costUsd'] as const;

/** What is told of it: without the counts that only have prices of their own. */
export function toldOf(usage: UsageSoFar): UsageSoFar {
  const told: UsageSoFar = {};
  for (const name of toldCounts) if (usage[name] !== undefined) told[name] = usage[name];
  return told;
}

/** What it cost isn't known where that isn't known of all that used something: a part of it would be told as the whole. */
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

const isNothing = (usage: UsageSoFar): boolean => toldCounts.every((name) => (usage[name] ?? 0) === 0);

export const toUsage = ({ inputTokens, outputTokens, costUsd, ...parts }: UsageSoFar): ModelUsage => ({
  inputTokens: inputTokens ?? 0,
  outputTokens: outputTokens ?? 0,
  costUsd: costUsd ?? null,
  ...parts,
});

/** A failure with what it has cost, for the actor's budget. */
export function withUsage(
  error: CoppiceError,
  { attempts, usage }: { attempts: readonly unknown[]; usage: UsageSoFar },
): CoppiceError {
  const details = { ...error.details, attempts: attempts.length, usage: toUsage(usage) };
  return new CoppiceError(error.code, error.message, { cause: error, details, retryable: error.retryable });
}
