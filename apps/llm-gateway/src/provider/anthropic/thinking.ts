/** How a model is told to think, and what it answers beside. */
import type { ModelSettings } from '@coppice/contracts';
import type { WireMessage } from './messages.ts';
import type { ModelTraits } from './models.ts';

type Effort = 'low' | 'medium' | 'high';
type AskedThinking = NonNullable<ModelSettings['thinking']>;

export type WireThinking = {
  thinking?: { type: 'disabled' } | { type: 'adaptive' } | { type: 'enabled'; budget_tokens: number };
  effort?: Effort;
};

const budgets = { minimal: 1_024, low: 2_048, medium: 8_192, high: 16_384 } as const;
/** The least that the wire takes. */
const budgetTokensMin = 1_024;
/** What is left for the answer where only the budget is known. */
const answerTokens = 8_192;

/** `maxOutputTokens`: thinking and answer together; the wire demands it. */
export function thinkingAndLength(
  { maxOutputTokens, thinking, toolChoice }: ModelSettings,
  traits: ModelTraits,
  messages: readonly WireMessage[],
): WireThinking & { maxOutputTokens: number } {
  const lengthDefault = traits.maxOutputTokens;
  // Whoever has to call a tool doesn't think: the wire refuses both together.
  const forced = toolChoice === 'required' || typeof toolChoice === 'object';
  if (thinking === undefined || forced) return { maxOutputTokens: maxOutputTokens ?? lengthDefault };
  if (traits.thinking !== 'budget') {
    return { ...byEffort(thinking, traits), maxOutputTokens: maxOutputTokens ?? lengthDefault };
  }
  const budgetAsked = budgetOf(thinking);
  if (budgetAsked < budgetTokensMin || answersUnthought(messages)) {
    return { maxOutputTokens: maxOutputTokens ?? lengthDefault };
  }
  const length = maxOutputTokens ?? Math.max(lengthDefault, budgetAsked + answerTokens);
  // What was asked for at most stays the limit, and the budget has to be below it.
  const budget = Math.min(budgetAsked, length - 1);
  if (budget < budgetTokensMin) return { maxOutputTokens: length };
  return { thinking: { type: 'enabled', budget_tokens: budget }, maxOutputTokens: length };
}

function byEffort(asked: AskedThinking, { thinking }: ModelTraits): WireThinking {
  if (thinking === 'never') return {};
  const effort = effortOf(asked);
  if (effort !== null) return { thinking: { type: 'adaptive' }, effort };
  return thinking === 'always' ? { effort: 'low' } : { thinking: { type: 'disabled' } };
}

/** Null: not at all. A budget stands for the effort that it suffices for. */
function effortOf(asked: AskedThinking): Effort | null {
  if ('effort' in asked) {
    if (asked.effort === 'none') return null;
    return asked.effort === 'minimal' ? 'low' : asked.effort;
  }
  if (asked.budgetTokens === 0) return null;
  if (asked.budgetTokens <= budgets.low) return 'low';
  return asked.budgetTokens <= budgets.medium ? 'medium' : 'high';
}

function budgetOf(asked: AskedThinking): number {
  if ('budgetTokens' in asked) return asked.budgetTokens === 0 ? 0 : Math.max(asked.budgetTokens, budgetTokensMin);
  return asked.effort === 'none' ? 0 : budgets[asked.effort];
}

/**
 * Whether the answer that goes on began without a thought, as another provider's does: a model that thinks by budget has to have thought from the
 * turn's beginning.
 */
function answersUnthought(messages: readonly WireMessage[]): boolean {
  const last = messages.findLast(({ role }) => role === 'assistant');
  const goesOn = messages.at(-1)?.content.some(({ type }) => type === 'tool_result') ?? false;
  return goesOn && last?.content[0]?.type.endsWith('thinking') === false;
}
