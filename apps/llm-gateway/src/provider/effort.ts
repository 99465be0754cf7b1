/** How hard a model is to think, for wires that know levels alone. */
import type { ModelSettings } from '@coppice/contracts';

type Thinking = NonNullable<ModelSettings['thinking']>;
type Effort = Extract<Thinking, { effort: string }>['effort'];

/** In tokens, what a level stands for where a wire counts. */
export const effortBudgets = { minimal: 1_024, low: 2_048, medium: 8_192, high: 16_384 } as const;

/** A budget stands for the level that it suffices for. */
export function effortOf(thinking: Thinking): Effort {
  if ('effort' in thinking) return thinking.effort;
  const { budgetTokens } = thinking;
  if (budgetTokens === 0) return 'none';
  if (budgetTokens <= effortBudgets.low) return 'low';
  return budgetTokens <= effortBudgets.medium ? 'medium' : 'high';
}

/** OpenAI's models that don't think, and refuse a request that speaks of it. */
export const isThoughtless = (model: string): boolean => /^(ft:)?(gpt-3\.5|gpt-4|chatgpt-4o|gpt-5-chat)/.test(model);

/** The level as OpenAI's wires tell it; null for a model that is told none. */
export function openAiEffort(model: string, thinking: Thinking | undefined): Effort | null {
  if (thinking === undefined || isThoughtless(model)) return null;
  const effort = effortOf(thinking);
  return effort === 'none' ? leastEffort(model) : effort;
}

/** OpenAI's first models that think can't be kept from it, and refuse `none`. */
function leastEffort(model: string): Effort {
  if (/^o\d|^gpt-5-codex/.test(model)) return 'low';
  return /^gpt-5(-mini|-nano)?(-\d|$)/.test(model) ? 'minimal' : 'none';
}
