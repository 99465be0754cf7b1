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
export function withEstimates(usage: UsageSoFar, { messages }: Pick<ModelRequest, 'messages'>, outputBytes: number) {
  const inputTokens = usage.inputTokens ?? estimatedTokens(bytesOfMessages(messages));
  return { ...usage, inputTokens, outputTokens: usage.outputTokens ?? estimatedTokens(outputBytes) };
}

/** Of the texts, and of images that come by value. */
const bytesOfMessages = (messages: readonly ProviderMessage[]): number =>
  messages.flatMap(({ content }) => content.map(bytesOfPart)).reduce((sum, each) => sum + each, 0);

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

const usageCounts = [
  'inputTokens',
  'outputTokens',
  'cachedInputTokens',
  'cacheWriteInputTokens',
  'reasoningTokens',
  'costUsd',
] as const;

export function sumOfUsage(first: UsageSoFar, second: UsageSoFar): UsageSoFar {
  const total: UsageSoFar = { ...first };
  for (const name of usageCounts) {
    const added = second[name];
    if (added !== undefined) total[name] = (total[name] ?? 0) + added;
  }
  return total;
}

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
