/**
 * What Anthropic's models take, by their names: the same request would be refused by one for what another demands. After the vendor's page "Thinking support,
 * defaults, and rejected configurations by model" and its migration guides.
 */

export type ModelTraits = {
  /**
   * How the model is told to think. `budget`: a number of tokens, and none otherwise. `adaptive`: an effort, and it can be told not to. `always`: an effort; being
   * told not to is refused. `never`: it can't.
   */
  thinking: 'never' | 'budget' | 'adaptive' | 'always';
  /** Whether it takes a temperature and its like. */
  sampling: boolean;
  /** Whether it takes a JSON Schema of its answer. */
  schema: boolean;
  /** What is asked for where nobody says: the wire demands a number. */
  maxOutputTokens: number;
};

const currentMaxOutputTokens = 32_000;

/** Another vendor's model behind this wire. What is older than a few years is all that such servers are sure to know. */
const foreign: ModelTraits = { thinking: 'budget', sampling: true, schema: false, maxOutputTokens: 8_192 };
/** A model of Anthropic's whose name says no version: what all of its newest take. */
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

/** `claude-opus-4-1-20250805` is 4.1, `claude-3-7-sonnet-latest` 3.7, `claude-sonnet-4-20250514` 4. */
function versionOf(model: string): number | null {
  const [, major, minor] = /claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d))?(?![\d.])/i.exec(model) ?? [];
  return major === undefined ? null : Number(`${major}.${minor ?? 0}`);
}
