/**
 * The fields that OpenAI's models reject with HTTP 400. They depend on the model, since one model rejects what another
 * accepts.
 */
import { neverThinks } from './effort.ts';
import { isNamed } from './named-model.ts';
import type { OriginalRequest } from './port.ts';

type Body = Readonly<Record<string, unknown>>;

/** Reports whether the model is one of OpenAI's, on any server. */
export const isOpenAiModel = (model: string): boolean => /^(ft:)?(gpt-\d|o\d|chatgpt-|codex-)/.test(model);

const thinks = (model: string): boolean => /^(ft:)?(o\d|gpt-[5-9]|codex-)/.test(model);

/** Models from GPT-5.1 on, which can turn thinking off. */
const canDisableThinking = /^(ft:)?gpt-5\.\d/;
/**
 * Models that think only if the request sets an effort. The owner of a fine-tuned model chooses the text after its base
 * model's name, so the pattern ignores that text.
 */
const thinksOnRequestOnly = /^(ft:)?gpt-5\.[1-4](?!\d)(?![^:]*-(codex|pro|chat)(?![a-z]))/;

const refusedByThinking = ['stop', 'presence_penalty', 'frequency_penalty', 'logit_bias'];
const refusedWhileThinking = ['temperature', 'top_p', 'logprobs', 'top_logprobs'];
const refusedWithoutThinking = ['reasoning_effort', 'reasoning', 'verbosity'];
/** A value of the field `include`, which lists additional data that the server sends. */
const encryptedThought = 'reasoning.encrypted_content';

/**
 * Removes the fields that the model rejects. `settings` is a body in either of OpenAI's wire formats, or only the
 * settings of such a body. Bodies for other vendors' models stay unchanged.
 */
export function withoutRefused(model: string, settings: Body): Body {
  const taken = without(settings, refusedBy(model, effortIn(settings)));
  if (!neverThinks(model)) return taken;
  const { include, text } = taken;
  return {
    ...taken,
    ...(Array.isArray(include) ? { include: include.filter((each) => each !== encryptedThought) } : {}),
    ...(typeof text === 'object' && text !== null ? { text: without(text as Body, ['verbosity']) } : {}),
  };
}

function refusedBy(model: string, effort: unknown): string[] {
  if (neverThinks(model)) return refusedWithoutThinking;
  if (!thinks(model)) return [];
  const takesSampling =
    effort === undefined ? thinksOnRequestOnly.test(model) : effort === 'none' && canDisableThinking.test(model);
  return takesSampling ? refusedByThinking : [...refusedByThinking, ...refusedWhileThinking];
}

const limitFields = ['max_completion_tokens', 'max_tokens', 'n_predict', 'max_output_tokens'];

/** Returns the body to pass on. If the gateway sets the output limit, the client's fields for it are removed. */
export function bodyFor(model: string, original: OriginalRequest): Body {
  const body = original.maxOutputTokens === undefined ? original.body : without(original.body, limitFields);
  return isNamed(model, original) ? body : withoutRefused(model, body);
}

const without = (body: Body, fields: readonly string[]): Body =>
  Object.fromEntries(Object.entries(body).filter(([name]) => !fields.includes(name)));

/** Returns the effort. It is a field in Chat Completions, and part of an object in Responses. */
const effortIn = ({ reasoning_effort: effort, reasoning }: Body): unknown =>
  effort ?? (reasoning as { effort?: unknown } | null | undefined)?.effort;
