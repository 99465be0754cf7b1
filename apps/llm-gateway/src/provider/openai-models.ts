/** What OpenAI's models refuse, by their names: HTTP 400 for a field that another of them takes. */
import { isThoughtless } from './effort.ts';
import { isNamed } from './named-model.ts';
import type { OriginalRequest } from './port.ts';

type Body = Readonly<Record<string, unknown>>;

const thinks = (model: string): boolean => /^(ft:)?(o\d|gpt-[5-9]|codex-)/.test(model) && !isThoughtless(model);

/** Those since 5.1 can be told not to think. */
const canBeCalmed = /^(ft:)?gpt-5\.\d/;

const refusedByThinking = ['stop', 'presence_penalty', 'frequency_penalty', 'logit_bias'];
const refusedWhileThinking = ['temperature', 'top_p', 'logprobs', 'top_logprobs'];

/** A body of either of OpenAI's wires, or a part of it with all settings, without those that a model that thinks refuses. Of another vendor's model nothing is known. */
export function withoutRefused(model: string, settings: Body): Body {
  if (!thinks(model)) return settings;
  const takesSampling = effortIn(settings) === 'none' && canBeCalmed.test(model);
  const refused = takesSampling ? refusedByThinking : [...refusedByThinking, ...refusedWhileThinking];
  return Object.fromEntries(Object.entries(settings).filter(([name]) => !refused.includes(name)));
}

/** The body to pass on. */
export const bodyFor = (model: string, original: OriginalRequest): Body =>
  isNamed(model, original) ? original.body : withoutRefused(model, original.body);

/** Chat Completions has a field for it, Responses an object. */
const effortIn = ({ reasoning_effort: effort, reasoning }: Body): unknown =>
  effort ?? (reasoning as { effort?: unknown } | null | undefined)?.effort;
