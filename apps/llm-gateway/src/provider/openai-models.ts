/** What OpenAI's models refuse, by their names: HTTP 400 for a field that another of them takes. */
import { isThoughtless } from './effort.ts';
import { isNamed } from './named-model.ts';
import type { OriginalRequest } from './port.ts';

type Body = Readonly<Record<string, unknown>>;

/** By its own name, wherever it is asked. */
export const isOpenAiModel = (model: string): boolean => /^(ft:)?(gpt-\d|o\d|chatgpt-|codex-)/.test(model);

const thinks = (model: string): boolean => /^(ft:)?(o\d|gpt-[5-9]|codex-)/.test(model);

/** Those since 5.1 can be told not to think. */
const canBeCalmed = /^(ft:)?gpt-5\.\d/;
/** They don't unless they are told to. What follows a fine-tune's model is its owner's own words. */
const isCalmUnasked = /^(ft:)?gpt-5\.[1-4](?!\d)(?![^:]*-(codex|pro|chat)(?![a-z]))/;

const refusedByThinking = ['stop', 'presence_penalty', 'frequency_penalty', 'logit_bias'];
const refusedWhileThinking = ['temperature', 'top_p', 'logprobs', 'top_logprobs'];
const refusedByThoughtless = ['reasoning_effort', 'reasoning', 'verbosity'];
/** Of what is to be told beside the answer. */
const thoughtToTell = 'reasoning.encrypted_content';

/** A body of either of OpenAI's wires, or a part of it with all settings, without those that the model refuses. Of another vendor's model nothing is known. */
export function withoutRefused(model: string, settings: Body): Body {
  const taken = without(settings, refusedBy(model, effortIn(settings)));
  if (!isThoughtless(model)) return taken;
  const { include, text } = taken;
  return {
    ...taken,
    ...(Array.isArray(include) ? { include: include.filter((each) => each !== thoughtToTell) } : {}),
    ...(typeof text === 'object' && text !== null ? { text: without(text as Body, ['verbosity']) } : {}),
  };
}

function refusedBy(model: string, effort: unknown): string[] {
  if (isThoughtless(model)) return refusedByThoughtless;
  if (!thinks(model)) return [];
  const takesSampling = effort === undefined ? isCalmUnasked.test(model) : effort === 'none' && canBeCalmed.test(model);
  return takesSampling ? refusedByThinking : [...refusedByThinking, ...refusedWhileThinking];
}

const limitFields = ['max_completion_tokens', 'max_tokens', 'n_predict', 'max_output_tokens'];

/** The body to pass on; where the gateway limits the answer, without what may say otherwise. */
export function bodyFor(model: string, original: OriginalRequest): Body {
  const body = original.maxOutputTokens === undefined ? original.body : without(original.body, limitFields);
  return isNamed(model, original) ? body : withoutRefused(model, body);
}

const without = (body: Body, fields: readonly string[]): Body =>
  Object.fromEntries(Object.entries(body).filter(([name]) => !fields.includes(name)));

/** Chat Completions has a field for it, Responses an object. */
const effortIn = ({ reasoning_effort: effort, reasoning }: Body): unknown =>
  effort ?? (reasoning as { effort?: unknown } | null | undefined)?.effort;
