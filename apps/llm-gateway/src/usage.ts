import { CoppiceError } from '@coppice/contracts';
import type { ModelUsage } from '@coppice/contracts';
import type { Answer, Attempt } from './collect.ts';
import type { UsageSoFar } from './provider/port.ts';

/** A rule of thumb, for providers that count nothing. */
const bytesPerToken = 4;

export const estimatedTokens = (bytes: number): number => Math.ceil(bytes / bytesPerToken);

/**
 * An attempt with what its provider left uncounted estimated: a cut stream has no usage, and some servers never tell it, but budgets and the compaction of
 * a conversation go by it. An attempt that failed before any output is taken to have cost what its provider says, and else nothing.
 */
export function withEstimates(attempt: Attempt, promptBytes: number): Attempt {
  if (attempt.status === 'failed' && !attempt.outputBegan) return attempt;
  const outputBytes = attempt.status === 'failed' ? attempt.outputBytes : bytesOfAnswer(attempt);
  const estimates = { inputTokens: estimatedTokens(promptBytes), outputTokens: estimatedTokens(outputBytes) };
  return { ...attempt, usage: { ...estimates, ...attempt.usage } };
}

export const bytesOfAnswer = ({ text, toolCalls, thinking }: Pick<Answer, 'text' | 'toolCalls' | 'thinking'>): number =>
  [text, ...toolCalls.map((call) => call.arguments), ...thinking.map((thought) => thought.text)].reduce(
    (sum, each) => sum + Buffer.byteLength(each),
    0,
  );

export const toUsage = ({ inputTokens, outputTokens, costUsd, ...parts }: UsageSoFar): ModelUsage => ({
  inputTokens: inputTokens ?? 0,
  outputTokens: outputTokens ?? 0,
  costUsd: costUsd ?? null,
  ...parts,
});

/** A failure with what it has cost, for the actor's budget. */
export function withUsage(error: unknown, asked: { attempts: number; usage: UsageSoFar }): unknown {
  if (!(error instanceof CoppiceError)) return error;
  const details = { ...error.details, attempts: asked.attempts, usage: toUsage(asked.usage) };
  return new CoppiceError(error.code, error.message, { cause: error, details, retryable: error.retryable });
}
