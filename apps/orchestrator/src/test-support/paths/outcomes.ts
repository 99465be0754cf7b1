import type { CommandResult, Mount, TurnOutput } from '@coppice/contracts';

/** Results of effects, for replays. */

export const node = 'node1';
export const mounts: Mount[] = [{ source: '/somewhere', target: '/workspace', readOnly: false }];

const passed: CommandResult = {
  exitCode: 0,
  signal: null,
  timedOut: false,
  outOfMemory: false,
  standardOutput: 'ok\n',
  standardError: '',
  logArtifact: null,
  durationMs: 5,
};
export const commandResults = [passed, { ...passed, exitCode: 1, standardError: 'no\n' }];

const answer: TurnOutput = {
  turnId: 'turn-1',
  text: { text: 'good\n' },
  toolCalls: [],
  finishReason: 'stop',
  usage: { inputTokens: 10, outputTokens: 5, costUsd: 0.25 },
  responseModel: 'x',
  latencyMs: 5,
};
export const promptAnswers = [answer, { ...answer, finishReason: 'length' }];

const calling = (name: string, input: unknown): TurnOutput => ({
  ...answer,
  toolCalls: [{ id: `${name}-1`, name, arguments: { text: JSON.stringify(input) } }],
  finishReason: 'tool-calls',
});
/**
 * Answers of a model. They are a call in the sandbox, a call of `finish`, a text without a call, and an answer that
 * fills the model's context.
 */
export const loopAnswers = [
  calling('run', { command: 'make test' }),
  calling('finish', { summary: 'Done.' }),
  answer,
  { ...calling('run', { command: 'make test' }), usage: { ...answer.usage, inputTokens: 120_000 } },
];
export const toolResults = [
  {
    results: [
      { callId: 'run-1', name: 'run', content: { text: 'ok' }, isError: false, logArtifact: null, durationMs: 5 },
    ],
  },
];

const merged = { status: 'merged-in-store', commit: 'c'.repeat(40), protectedPaths: [], node };
const checkout = { mounts, setupIsCurrent: true };
/**
 * Results of `prepareMerge`, in this order:
 * - a merge
 * - a merge with another tree that changes a protected path
 * - a merge whose tree was verified before
 * - a conflict
 * - a change that the target already contains
 */
export const merges = [
  { ...merged, tip: '1'.repeat(40), tree: 'd'.repeat(40), checkout },
  { ...merged, tip: '2'.repeat(40), tree: 'e'.repeat(40), checkout, protectedPaths: ['ci.yml'] },
  { ...merged, tip: '3'.repeat(40), tree: 'd'.repeat(40), checkout: null },
  { status: 'conflict', tip: '4'.repeat(40), paths: ['a.txt'], landed: [] },
  { status: 'already-merged', tip: '5'.repeat(40) },
];
