import type { ToolResult } from '@coppice/contracts';
import { describe, expect, test } from 'vitest';
import { DrivenTask, goodResults } from '../../test-support/drive-task.ts';
import { mechanicalSummary } from './prompts.ts';

/**
 * Tests the states of the loop agent without an engine. The agent's decisions are tested in decide-next-step.test.ts.
 */
const agent = { kind: 'loop', turns: 20, contextTokens: 10_000 } as const;
const reading = () => new DrivenTask({ agent }).until('readInstructions');
const asking = () => reading().done('readInstructions');
const calls = (...given: [name: string, input: object][]) => ({
  ...(goodResults['loopTurn'] as object),
  toolCalls: given.map(([name, input], index) => ({
    id: `${name}-${index}`,
    name,
    arguments: { text: JSON.stringify(input) },
  })),
});
const read: [string, object] = ['read', { path: 'a.ts' }];
const run: [string, object] = ['run', { command: 'make' }];
const results = (...names: string[]) => ({
  results: names.map((name, index): ToolResult => ({
    callId: `${name}-${index}`,
    name,
    content: { text: `result of ${name}` },
    isError: false,
    logArtifact: null,
    durationMs: 1,
  })),
});
/** Names of the calls in the last command to the sandbox. */
const called = (task: DrivenTask): string[] => {
  const { calls: sent = [] } = (task.inputs['tools'] ?? {}) as { calls?: { name: string }[] };
  return sent.map(({ name }) => name);
};
const messages = (task: DrivenTask): string => JSON.stringify(task.inputs['loopTurn']?.['messages']);
const count = (task: DrivenTask, invocation: string): number =>
  task.started.filter((each) => each === invocation).length;
const lost = { code: 'unknown', message: 'lost', retryable: false } as const;

describe('the instructions of the repository', () => {
  test('are read in the sandbox with the agent’s own tool, before the first model call', () => {
    const task = reading();
    expect(task.inputs['readInstructions']).toMatchObject({
      sandboxId: 't1-work',
      calls: [
        { id: 'AGENTS.md', name: 'read' },
        { id: 'CLAUDE.md', name: 'read' },
      ],
    });
    expect(task.inputs['loopTurn']).toBeUndefined();
    const [found] = results('read').results;
    task.done('readInstructions', { results: [{ ...found, callId: 'AGENTS.md', content: { text: 'be brief' } }] });
    expect(messages(task)).toContain('be brief');
    expect(task.inputs['loopTurn']).toMatchObject({ continues: null, timeLimitMs: 20_000 });
  });

  test('are read again when the sandbox was lost, three times', () => {
    const task = reading();
    for (let tries = 0; tries < 3; tries++) task.failed('readInstructions', lost);
    expect([count(task, 'readInstructions'), task.context.end]).toEqual([4, null]);
    task.failed('readInstructions', lost);
    expect(task.context).toMatchObject({ end: 'failed', reason: 'lost' });
  });

  test('are not read again after an error that would come again', () => {
    const task = reading().failed('readInstructions', { code: 'sandbox-not-found', message: 'gone', retryable: false });
    expect([count(task, 'readInstructions'), task.state]).toEqual([1, 'cleaning.sandbox']);
    expect(task.context).toMatchObject({ end: 'failed', reason: 'gone' });
  });
});

describe('calls whose sandbox fails', () => {
  const calling = (...given: [string, object][]) => asking().done('loopTurn', calls(...given));

  test('are sent again when none of them was started', () => {
    const task = calling(run).failed('tools', { code: 'unavailable', retryable: true });
    expect([count(task, 'tools'), called(task)]).toEqual([2, ['run']]);
    task.done('tools', results('run'));
    expect(messages(task)).toContain('result of run');
  });

  test('are sent again only where that is safe when it was lost, and the model learns of the others', () => {
    const task = calling(run, read).failed('tools', lost);
    expect(called(task)).toEqual(['read']);
    task.done('tools', { results: [{ ...results('read').results[0], callId: 'read-1' }] });
    expect(task.invocation).toBe('loopTurn');
    expect(messages(task)).toMatch(/run-0.*not known whether this was done.*read-1.*result of read/s);
  });

  test.each(['internal', 'deadline-exceeded', 'delivery-limit'] as const)(
    'with %s are not sent again, not even those that only read',
    (code) => {
      const task = calling(read).failed('tools', { code, retryable: code !== 'delivery-limit' });
      expect([count(task, 'tools'), count(task, 'loopTurn')]).toEqual([1, 2]);
      expect(messages(task)).toContain('not known whether this was done');
    },
  );

  test('for good end the task with the error', () => {
    const task = calling(read).failed('tools', { code: 'sandbox-not-found', message: 'gone', retryable: false });
    expect(task.context).toMatchObject({ end: 'failed', reason: 'gone', failure: { code: 'sandbox-not-found' } });
  });
});

describe('a model call', () => {
  test('continues the conversation of the one before', () => {
    const task = asking().done('loopTurn', calls(read)).done('tools', results('read'));
    expect(task.inputs['loopTurn']).toMatchObject({ continues: 'turn-1' });
    expect(task.emitted.filter(({ type }) => type === 'task-turn')).toHaveLength(1);
    expect(task.context).toMatchObject({ modelTurns: 1, usage: { inputTokens: 10, outputTokens: 5, costUsd: 0.5 } });
  });

  test('whose gateway was lost is made again and names the lost one; a sixth in a row ends the task', () => {
    const task = asking();
    for (let tries = 1; tries <= 5; tries++) {
      task.failed('loopTurn', lost);
      expect(task.inputs['loopTurn']?.['lostTurns']).toHaveLength(tries);
    }
    task.failed('loopTurn', lost);
    expect(task.context).toMatchObject({ end: 'failed', modelTurnsUnknown: 6 });
    expect(task.context.reason).toMatch(/^the outcome of 6 model turns in a row is unknown/);
  });

  test('longer than the model can hold begins a new conversation with what is known', () => {
    const task = asking().done('loopTurn', calls(read)).done('tools', results('read'));
    task.failed('loopTurn', { code: 'context-exceeded', retryable: false });
    expect(task.inputs['loopTurn']).toMatchObject({ continues: null });
    expect(messages(task)).toContain(mechanicalSummary);
    expect(messages(task)).toContain('read a.ts → ok');
  });

  test('longer than the model can hold from the beginning ends the task', () => {
    const task = asking().failed('loopTurn', { code: 'context-exceeded', retryable: false });
    expect(task.context).toMatchObject({
      end: 'failed',
      reason: 'the task alone is longer than what the model can hold',
    });
  });

  test('that would come out the same again ends the task with the provider’s error', () => {
    const task = asking().failed('loopTurn', { code: 'model-not-found', message: 'no such model', retryable: false });
    expect(task.context).toMatchObject({ end: 'failed', reason: 'no such model' });
    expect(task.state).toBe('cleaning.sandbox');
  });

  test('for a summary offers no tools, and does without a summary where it fails', () => {
    const full = { ...calls(read), usage: { inputTokens: 9_500, outputTokens: 5, costUsd: 0 } };
    const task = asking().done('loopTurn', full).done('tools', results('read'));
    expect(task.inputs['loopTurn']).toMatchObject({ continues: 'turn-1', tools: [] });
    task.failed('loopTurn', { code: 'provider-failed', retryable: false });
    expect(task.inputs['loopTurn']).toMatchObject({ continues: null });
    expect(task.inputs['loopTurn']?.['tools']).not.toEqual([]);
    expect(messages(task)).toContain(mechanicalSummary);
  });
});

describe('a checkpoint', () => {
  const worked = (task: DrivenTask, ...given: [string, object][]) =>
    task.done('loopTurn', calls(...given)).done('tools', results(...given.map(([name]) => name)));

  test('is made once a call may have written, with the time as its date', () => {
    const task = worked(asking(), run);
    expect(task.inputs['checkpoint']).toMatchObject({ date: '1970-01-01T00:16:40.000Z' });
    expect(task.context.unsaved).toBe(false);
    expect(count(task, 'loopTurn')).toBe(2);
  });

  test('is not made where calls only looked', () => {
    expect(count(worked(asking(), read), 'checkpoint')).toBe(0);
  });

  test('is not made again within ten seconds, but after', () => {
    const task = worked(asking(), run).done('checkpoint', { commit: 'c' });
    task.nowMs += 9_999;
    worked(task, run);
    expect([count(task, 'checkpoint'), task.context.unsaved]).toEqual([1, true]);
    task.nowMs += 1;
    worked(task, ['run', { command: 'make other' }]);
    expect(count(task, 'checkpoint')).toBe(2);
  });

  test('that fails is made up for after the next calls, and nothing else comes of it', () => {
    const task = worked(asking(), run).failed('checkpoint', { retryable: false });
    expect([task.context.unsaved, task.context.end]).toEqual([true, null]);
    task.nowMs += 10_000;
    expect(count(worked(task, read), 'checkpoint')).toBe(2);
  });
});

describe('the end of the agent', () => {
  test('by `finish` is the commit, with the summary as its body', () => {
    const task = asking().done('loopTurn');
    expect(task.state).toBe('committing.closing');
    expect(task.context).toMatchObject({ summary: 'Done.', loop: null });
    task.done('closeSandbox');
    expect(task.inputs['commit']).toMatchObject({ message: { body: 'Done.' } });
  });

  test('by its time limit comes in any step', () => {
    for (const task of [reading(), asking(), asking().done('loopTurn', calls(run))]) {
      task.timeOut('xstate.after.agentTimeLimit.task.working');
      expect(task.state).toBe('cleaning.sandbox');
      expect(task.context).toMatchObject({ end: 'timed-out', reason: 'the agent took longer than 20 s' });
    }
  });

  test('by a cancellation comes at once', () => {
    const task = asking().done('loopTurn', calls(run)).send({ type: 'cancel', reason: 'enough' });
    expect(task.state).toBe('cleaning.sandbox');
    expect(task.context).toMatchObject({ end: 'cancelled', reason: 'enough' });
  });

  test('by a refusal of the model is a failure, in the model’s words', () => {
    const refusal = { ...calls(), finishReason: 'refusal', text: { text: 'I will not.\nNever.' } };
    const task = asking().done('loopTurn', refusal);
    expect(task.context).toMatchObject({ end: 'failed', reason: 'the model refused: I will not.' });
  });
});
