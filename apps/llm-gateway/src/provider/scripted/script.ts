import { createContext, runInContext } from 'node:vm';
import { CoppiceError, finishReasonSchema } from '@coppice/contracts';
import type { FieldIssue } from '@coppice/contracts';
import { fieldIssues } from '@coppice/bus';
import { parseYaml } from '@coppice/yaml';
import { z } from 'zod';

/**
 * A script, in YAML:
 *
 * ```yaml
 * # The first rule whose `when` matches is played. A rule without `when` always matches. `when` is compared with the
 * # messages before the first answer, so tool results and later messages don't change the rule.
 * rules:
 *   - name: changelog
 *     when: { contains: changelog }     # a text, or a list of texts that must all occur
 *     turns:                            # the turn after n assistant messages is number n + 1
 *       - text: "# Changes\n"
 *         latencyMs: 200                # before the first piece
 *         usage: { inputTokens: 10, outputTokens: 5, costUsd: 0.01 }
 *         finishReason: stop
 *         # The first two requests fail. Without `times`, all requests fail.
 *         fault: { kind: limited, retryAfterMs: 100, times: 2 }
 *   - name: agent
 *     when: { contains: fix the bug }
 *     turns:                            # with tool calls
 *       - text: I look first.
 *         # The arguments of the second call are invalid JSON.
 *         toolCalls: [{ name: read, arguments: { path: a.txt } }, { name: run, arguments: '{"command": ' }]
 *       - toolCalls: [{ name: finish, arguments: { summary: done } }]
 *   - name: large
 *     when: { matches: "^write the book" }   # a regular expression
 *     turns: [{ textFile: book.txt }]   # next to the script
 * default: { turns: [{ text: ok }] }    # if no rule matches
 * ```
 *
 * A new conversation selects its rule again, and begins at that rule's first turn. When a conversation gets too long,
 * it continues from a summary, and then counts as new. So the turns after a summary need their own rule. This rule
 * must come before the other rules, and its `when` must name a text of the summary. A turn of the script wrote that
 * summary.
 */
const times = z.int().min(1).max(1_000).optional();
const faultSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('error'),
    message: z.string().default('scripted error'),
    retryable: z.boolean().default(true),
    times,
  }),
  z.strictObject({ kind: z.literal('limited'), retryAfterMs: z.int().nonnegative().optional(), times }),
  z.strictObject({ kind: z.literal('stall'), times }),
  z.strictObject({ kind: z.literal('cut'), times }),
]);
export type Fault = z.output<typeof faultSchema>;

const toolCallSchema = z.strictObject({
  name: z.string().max(200),
  /** A string is sent unchanged, so it may be invalid JSON. Any other value is sent as JSON. */
  arguments: z.unknown().default({}),
  id: z.string().min(1).max(200).optional(),
});

const turnSchema = z
  .strictObject({
    text: z.string().optional(),
    textFile: z.string().min(1).optional(),
    latencyMs: z.int().min(0).max(3_600_000).default(0),
    usage: z
      .strictObject({
        inputTokens: z.int().nonnegative().optional(),
        outputTokens: z.int().nonnegative().optional(),
        costUsd: z.number().nonnegative().optional(),
      })
      .default({}),
    /** Default: `tool-calls` if the turn has tool calls, else `stop`. */
    finishReason: finishReasonSchema.optional(),
    toolCalls: z.array(toolCallSchema).min(1).max(100).optional(),
    fault: faultSchema.optional(),
  })
  .refine((turn) => turn.text === undefined || turn.textFile === undefined, 'one of text and textFile, not both')
  .refine(
    (turn) =>
      turn.text !== undefined ||
      turn.textFile !== undefined ||
      turn.toolCalls !== undefined ||
      (turn.fault !== undefined && turn.fault.times === undefined),
    'text or textFile or toolCalls (only a fault that always comes needs none)',
  )
  .transform(({ finishReason, ...turn }) => ({
    ...turn,
    finishReason: finishReason ?? (turn.toolCalls === undefined ? 'stop' : 'tool-calls'),
  }));
export type ScriptedTurn = z.output<typeof turnSchema>;

const turnsSchema = z.array(turnSchema).min(1).max(1_000);

const whenSchema = z.strictObject({
  contains: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]).optional(),
  matches: z.string().min(1).refine(isRegularExpression, 'a regular expression').optional(),
});

const ruleSchema = z.strictObject({
  name: z.string().min(1).max(100).optional(),
  when: whenSchema.optional(),
  turns: turnsSchema,
});

const scriptSchema = z
  .strictObject({
    rules: z.array(ruleSchema).max(1_000).default([]),
    default: z.strictObject({ turns: turnsSchema }).optional(),
  })
  .refine((script) => script.rules.length > 0 || script.default !== undefined, 'rules, or a default');
export type Script = z.output<typeof scriptSchema>;

const issuesMax = 20;
/** Time limit for comparing one prompt with all regular expressions of a script. */
const matchingMsMax = 500;

/**
 * The script's answer to a request. `rule` is the rule's name, or its index if it has none. `position` is the index of
 * the turn.
 */
export type Cue = { rule: string; position: number; turn: ScriptedTurn };

/**
 * Parses a script. A file that isn't a script may contain secrets, so errors contain no values.
 * @throws CoppiceError `invalid-request`. Its message names the line, the field, what was expected, and the kind of the
 * value.
 */
export function parseScript(text: string, name: string): Script {
  const yaml = parseYaml(text);
  if ('problems' in yaml) {
    const [{ code, place }] = yaml.problems;
    throw new CoppiceError('invalid-request', `${name}:${place.line}: not YAML (${code})`);
  }
  const { value, placeOf } = yaml;
  const result = scriptSchema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.slice(0, issuesMax).map((issue) => {
    const unknown = issue.code === 'unrecognized_keys' ? (issue.keys[0] ?? '') : null;
    const shown = unknown === null ? issue : { path: issue.path, message: 'only fields of docs/scripted-model.md' };
    const [{ field, expected }] = fieldIssues([shown], undefined) as [FieldIssue];
    const at = placeOf(unknown === null ? field : `${field}.${unknown}`);
    const received = unknown === null ? kindOf(valueAt(value, issue.path)) : 'an unknown one';
    return { field, expected, received, line: at.line };
  });
  const complaints = issues.map(
    ({ line, field, expected, received }) =>
      `${name}:${line}: ${field || 'the whole'}: expected ${expected}, received ${received}`,
  );
  throw new CoppiceError('invalid-request', complaints.join('\n'), { details: { issues } });
}

const valueAt = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((within, key) => (within as Record<PropertyKey, unknown> | null | undefined)?.[key], value);

function kindOf(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (typeof value === 'string') return 'a text';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'fields' : `a ${typeof value}`;
}

function isRegularExpression(source: string): boolean {
  try {
    return new RegExp(source, 'm') instanceof RegExp;
  } catch {
    return false;
  }
}

/**
 * Selects the script's answer to a request. The prompt selects the rule, and the number of answers in the conversation
 * selects the turn. So the same request always gets the same answer, in any process.
 * @throws CoppiceError `provider-failed` if the script has no answer.
 */
export function cueFor(script: Script, prompt: string, answersSoFar: number): Cue {
  const index = ruleFor(script, prompt);
  const rule = script.rules[index];
  const turns = rule?.turns ?? script.default?.turns;
  const name = rule === undefined ? 'default' : (rule.name ?? `rules[${index}]`);
  if (turns === undefined)
    throw new CoppiceError('provider-failed', 'no rule of the script matches this prompt, and it has no default');
  const turn = turns[answersSoFar];
  if (turn === undefined) {
    throw new CoppiceError(
      'provider-failed',
      `the script's ${name} has ${turns.length} turns; number ${answersSoFar + 1} was requested`,
    );
  }
  return { rule: name, position: answersSoFar, turn };
}

function ruleFor({ rules }: Script, prompt: string): number {
  const candidates = [...rules.entries()].filter(([, { when }]) => hasTexts(when?.contains, prompt));
  const first = firstMatch(
    candidates.map(([, { when }]) => when?.matches ?? null),
    prompt,
  );
  return candidates[first]?.[0] ?? -1;
}

function hasTexts(contains: string | string[] | undefined, prompt: string): boolean {
  const texts = typeof contains === 'string' ? [contains] : (contains ?? []);
  return texts.every((text) => prompt.includes(text));
}

/**
 * Returns the index of the first pattern that matches; null always matches. `node:vm` provides a timeout, since a
 * regular expression that backtracks forever would block the process.
 */
function firstMatch(patterns: readonly (string | null)[], text: string): number {
  const [first] = patterns;
  if (first === undefined) return -1;
  if (first === null) return 0;
  const search = 'patterns.findIndex((pattern) => pattern === null || new RegExp(pattern, "m").test(text))';
  try {
    return runInContext(search, createContext({ patterns, text }), { timeout: matchingMsMax }) as number;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw cause;
    const message = `the script's regular expressions take more than ${matchingMsMax} ms for this prompt`;
    throw new CoppiceError('provider-failed', message, { cause });
  }
}
