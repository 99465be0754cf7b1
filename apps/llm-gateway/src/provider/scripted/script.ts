import { CoppiceError, finishReasonSchema } from '@coppice/contracts';
import { fieldIssues } from '@coppice/bus';
import { z } from 'zod';
import { parseYaml } from '../../yaml.ts';

/**
 * A script, in YAML:
 *
 * ```yaml
 * rules:                                # the first whose `when` holds plays; without `when` it always holds. It is held against what was said
 *                                       # before the first answer, so that no tool result and no later message leads to another rule
 *   - name: changelog
 *     when: { contains: changelog }     # a text, or several that must all be there; or `matches`, a regular expression
 *     turns:                            # the first is the answer to a request without assistant messages, the next to one with one …
 *       - text: "# Changes\n"
 *         latencyMs: 200                # before the first piece
 *         usage: { inputTokens: 10, outputTokens: 5, costUsd: 0.01 }
 *         finishReason: stop
 *         fault: { kind: limited, retryAfterMs: 100, times: 2 }   # how often it is asked in vain before that answer; without `times` always
 *   - name: agent
 *     when: { contains: fix the bug }
 *     turns:                            # one an answer: tool calls, in an answer with text or without
 *       - text: I look first.
 *         toolCalls: [{ name: read, arguments: { path: a.txt } }, { name: run, arguments: '{"command": ' }]   # the second isn't JSON
 *       - toolCalls: [{ name: finish, arguments: { summary: done } }]
 *   - name: large
 *     when: { matches: "^write the book" }
 *     turns: [{ textFile: book.txt }]   # beside the script
 * default: { turns: [{ text: ok }] }    # for what no rule knows
 * ```
 *
 * A new conversation (such as one that goes on from a summary, when the old one became too long) chooses its rule anew and begins at its first turn. So what
 * is to be said after a summary has a rule of its own, before the others, whose `when` names a text of the summary, which the script itself said.
 */
const times = z.int().min(1).max(1_000).optional();
const faultSchema = z.discriminatedUnion('kind', [
  /** The provider answers with an error. */
  z.strictObject({
    kind: z.literal('error'),
    message: z.string().default('scripted error'),
    retryable: z.boolean().default(true),
    times,
  }),
  /** The provider asks to wait. */
  z.strictObject({ kind: z.literal('limited'), retryAfterMs: z.int().nonnegative().optional(), times }),
  /** The provider never answers. */
  z.strictObject({ kind: z.literal('stall'), times }),
  /** The answer ends in its middle. */
  z.strictObject({ kind: z.literal('cut'), times }),
]);
export type Fault = z.output<typeof faultSchema>;

const toolCallSchema = z.strictObject({
  name: z.string().max(200),
  /** A text is given out as it is, and need not be JSON; any other value as its JSON. */
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
    /** Default: tool-calls where there are some, else stop. */
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

/** What plays for a request: the rule's name (its position where it has none), the position of the turn, and the turn. */
export type Cue = { rule: string; position: number; turn: ScriptedTurn };

/**
 * Reads a script.
 * @throws CoppiceError `invalid-request` whose message names line, field, what was expected and what came.
 */
export function parseScript(text: string, name: string): Script {
  const yaml = parseYaml(text);
  if ('problem' in yaml)
    throw new CoppiceError('invalid-request', `${name}:${yaml.place.line}: not YAML: ${yaml.problem}`);
  const { value, placeOf } = yaml;
  const result = scriptSchema.safeParse(value);
  if (result.success) return result.data;
  const issues = fieldIssues(result.error.issues, value).map((issue) => ({
    ...issue,
    line: placeOf(issue.field).line,
  }));
  const complaints = issues.map(
    ({ line, field, expected, received }) =>
      `${name}:${line}: ${field || 'the whole'}: expected ${expected}, received ${received}`,
  );
  throw new CoppiceError('invalid-request', complaints.join('\n'), { details: { issues } });
}

function isRegularExpression(source: string): boolean {
  try {
    return new RegExp(source, 'm') instanceof RegExp;
  } catch {
    return false;
  }
}

/**
 * What the script says to a request: the rule comes from the prompt, the turn from how many answers the conversation already holds. So
 * the same request always plays the same, in any process and however often it is asked.
 * @throws CoppiceError `provider-failed` where the script has nothing to say.
 */
export function cueFor(script: Script, prompt: string, answersSoFar: number): Cue {
  const index = script.rules.findIndex(({ when }) => when === undefined || holds(when, prompt));
  const rule = script.rules[index];
  const turns = rule?.turns ?? script.default?.turns;
  const name = rule === undefined ? 'default' : (rule.name ?? `rules[${index}]`);
  if (turns === undefined)
    throw new CoppiceError('provider-failed', 'no rule of the script holds for this prompt, and it has no default');
  const turn = turns[answersSoFar];
  if (turn === undefined) {
    throw new CoppiceError(
      'provider-failed',
      `the script's ${name} has ${turns.length} turns; number ${answersSoFar + 1} was asked for`,
    );
  }
  return { rule: name, position: answersSoFar, turn };
}

function holds(when: z.output<typeof whenSchema>, prompt: string): boolean {
  const texts = typeof when.contains === 'string' ? [when.contains] : (when.contains ?? []);
  if (!texts.every((text) => prompt.includes(text))) return false;
  return when.matches === undefined || new RegExp(when.matches, 'm').test(prompt);
}
