/**
 * The parameters that Anthropic's models accept. They depend on the model, since one model rejects what another model
 * requires. Sources: the vendor's page "Thinking support, defaults, and rejected configurations by model", and its
 * migration guides.
 */

export type ModelTraits = {
  /**
   * The thinking settings that the model accepts:
   * - `budget`: a number of tokens, or no thinking
   * - `adaptive`: an effort, or no thinking
   * - `always`: only an effort
   * - `never`: none, since the model can't think
   */
  thinking: 'never' | 'budget' | 'adaptive' | 'always';
  /** True if the model accepts a temperature and similar settings. */
  sampling: boolean;
  /** True if the model accepts a JSON Schema for its answer. */
  schema: boolean;
  /** Default output limit, in tokens. The format requires a limit. */
  maxOutputTokens: number;
};

const currentMaxOutputTokens = 32_000;

/**
 * Another vendor's model that is served in this wire format. Only parameters that have existed for years are certain to
 * work.
 */
const foreign: ModelTraits = { thinking: 'budget', sampling: true, schema: false, maxOutputTokens: 8_192 };
/** An Anthropic model whose name contains no version. All of the newest models accept these parameters. */
const newest: ModelTraits = {
  thinking: 'always',
  sampling: false,
  schema: true,
  maxOutputTokens: currentMaxOutputTokens,
};

export function traitsOf(model: string): ModelTraits {
  if (!/claude/i.test(model)) return foreign;
  const version = versionOf(model);
  if (version === null) return /instant|claude-2/i.test(model) ? ofVersion(2) : newest;
  return /fable|mythos/i.test(model) ? newest : ofVersion(version);
}

function ofVersion(version: number): ModelTraits {
  return {
    thinking: thinkingOf(version),
    sampling: version < 4.7,
    schema: version >= 4.5,
    maxOutputTokens: maxOutputTokensOf(version),
  };
}

function thinkingOf(version: number): ModelTraits['thinking'] {
  if (version < 3.7) return 'never';
  if (version < 4.6) return 'budget';
  return version <= 5 ? 'adaptive' : 'always';
}

function maxOutputTokensOf(version: number): number {
  if (version < 3.5) return 4_096;
  return version < 3.7 ? 8_192 : currentMaxOutputTokens;
}

/**
 * Returns the version in a model's name, or null. `claude-opus-4-1-20250805` has version 4.1,
 * `claude-3-7-sonnet-latest` 3.7, and `claude-sonnet-4-20250514` 4.
 */
function versionOf(model: string): number | null {
  const [, major, minor] = /claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d))?(?![\d.])/i.exec(model) ?? [];
  return major === undefined ? null : Number(`${major}.${minor ?? 0}`);
}
