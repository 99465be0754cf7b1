/** The thinking settings of a request, and the output limit, which depends on them. */
import type { ModelSettings } from '@coppice/contracts';
import { effortBudgets, effortOf } from '../../provider/effort.ts';
import { isNamed } from '../../provider/named-model.ts';
import type { OriginalRequest } from '../../provider/port.ts';
import type { ModelTraits } from './models.ts';

type Effort = 'low' | 'medium' | 'high';
type RequestedThinking = NonNullable<ModelSettings['thinking']>;

/** The fields of a message that this file reads. A client may have written the message in this wire format. */
export type Said = { role: string; content: string | readonly { type: string }[] };

export type WireThinking = {
  thinking?: { type: 'disabled' } | { type: 'adaptive' } | { type: 'enabled'; budget_tokens: number };
  effort?: Effort;
};

/** The format's minimum budget. */
const budgetTokensMin = 1_024;
/** Tokens that are left for the answer if the request sets a thinking budget but no output limit. */
const answerTokens = 8_192;

/** The output limit, which the format requires, includes thinking. */
export function thinkingAndLength(
  { maxOutputTokens, thinking, toolChoice }: ModelSettings,
  traits: ModelTraits,
  messages: readonly Said[],
): WireThinking & { maxOutputTokens: number } {
  const lengthDefault = traits.maxOutputTokens;
  // The API rejects thinking together with a forced tool call.
  const forced = toolChoice === 'required' || typeof toolChoice === 'object';
  if (thinking === undefined || forced) return { maxOutputTokens: maxOutputTokens ?? lengthDefault };
  if (traits.thinking !== 'budget') {
    return { ...byEffort(thinking, traits), maxOutputTokens: maxOutputTokens ?? lengthDefault };
  }
  const requestedBudget = budgetOf(thinking);
  if (requestedBudget < budgetTokensMin || beganWithoutThinking(messages)) {
    return { maxOutputTokens: maxOutputTokens ?? lengthDefault };
  }
  const length = maxOutputTokens ?? Math.max(lengthDefault, requestedBudget + answerTokens);
  // The budget must be lower than the output limit, and the client's output limit has priority.
  const budget = Math.min(requestedBudget, length - 1);
  if (budget < budgetTokensMin) return { maxOutputTokens: length };
  return { thinking: { type: 'enabled', budget_tokens: budget }, maxOutputTokens: length };
}

function byEffort(requested: RequestedThinking, { thinking }: ModelTraits): WireThinking {
  if (thinking === 'never') return {};
  const effort = effortOf(requested);
  if (effort !== 'none') return { thinking: { type: 'adaptive' }, effort: effort === 'minimal' ? 'low' : effort };
  return thinking === 'always' ? { effort: 'low' } : { thinking: { type: 'disabled' } };
}

function budgetOf(requested: RequestedThinking): number {
  if ('budgetTokens' in requested)
    return requested.budgetTokens === 0 ? 0 : Math.max(requested.budgetTokens, budgetTokensMin);
  return requested.effort === 'none' ? 0 : effortBudgets[requested.effort];
}

/**
 * Returns the body to pass on. If the last answer in it is unfinished and began without thinking, the API would reject
 * the thinking settings. So this function removes them, and the setting that clears earlier thinking. It does so only
 * if the gateway replaced the model or removed parts of the conversation. Otherwise the client gets the vendor's error.
 */
export function withoutLateThinking(original: OriginalRequest, model: string): OriginalRequest['body'] {
  const { body, foreignTaken = false } = original;
  const { thinking, ...withoutThinking } = body;
  const thinks = (thinking as { type?: unknown } | null | undefined)?.type === 'enabled';
  const mayBeOthers = foreignTaken || !isNamed(model, original);
  if (!thinks || !mayBeOthers || !beganWithoutThinking(body['messages'] as readonly Said[])) return body;
  const management = body['context_management'] as { edits?: unknown } | null | undefined;
  if (!Array.isArray(management?.edits)) return withoutThinking;
  const isOfThoughts = (edit: { type?: unknown } | null) => String(edit?.type).startsWith('clear_thinking_');
  const edits = management.edits.filter((edit) => !isOfThoughts(edit));
  return { ...withoutThinking, context_management: { ...management, edits } };
}

/**
 * Reports whether the request continues an answer that began without thinking. Other providers write such answers. A
 * model with a thinking budget requires thinking only at the beginning of the answer, directly after the last user
 * message without a tool result.
 */
function beganWithoutThinking(messages: readonly Said[]): boolean {
  if (!holdsResult(messages.at(-1))) return false;
  const lastPrompt = messages.findLastIndex((message) => message.role === 'user' && !holdsResult(message));
  const first = messages.slice(lastPrompt + 1).find(({ role }) => role === 'assistant');
  return blocksOf(first)[0]?.type.endsWith('thinking') === false;
}

const holdsResult = (message: Said | undefined): boolean =>
  blocksOf(message).some(({ type }) => type === 'tool_result');

const blocksOf = (message: Said | undefined): readonly { type: string }[] =>
  typeof message?.content === 'object' ? message.content : [];
