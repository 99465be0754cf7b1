import type { ModelSettings } from '@coppice/contracts';

type Thinking = NonNullable<ModelSettings['thinking']>;
type Effort = Extract<Thinking, { effort: string }>['effort'];

/** Thinking tokens of each level, for wire formats with a token budget. */
export const effortBudgets = { minimal: 1_024, low: 2_048, medium: 8_192, high: 16_384 } as const;

/** Converts a token budget to the lowest level that covers it, but at least `low`. A budget of 0 becomes `none`. */
export function effortOf(thinking: Thinking): Effort {
  if ('effort' in thinking) return thinking.effort;
  const { budgetTokens } = thinking;
  if (budgetTokens === 0) return 'none';
  if (budgetTokens <= effortBudgets.low) return 'low';
  return budgetTokens <= effortBudgets.medium ? 'medium' : 'high';
}

/**
 * Reports whether the model is one of OpenAI's models that don't think. These models reject a request that sets an
 * effort.
 */
export const neverThinks = (model: string): boolean => /^(ft:)?(gpt-3\.5|gpt-4|chatgpt-4o|gpt-5-chat)/.test(model);

/** Returns null if no level was requested, or the model accepts none. */
export function openAiEffort(model: string, thinking: Thinking | undefined): Effort | null {
  if (thinking === undefined || neverThinks(model)) return null;
  const effort = effortOf(thinking);
  return effort === 'none' ? leastEffort(model) : effort;
}

/**
 * Returns the lowest level that the model accepts. OpenAI's first thinking models reject `none`, since they always
 * think.
 */
function leastEffort(model: string): Effort {
  if (/^o\d|^gpt-5-codex/.test(model)) return 'low';
  return /^gpt-5(-mini|-nano)?(-\d|$)/.test(model) ? 'minimal' : 'none';
}
