import { transition } from 'xstate';
import { expect, test } from 'vitest';
import { taskInput } from '../../test-support/task-input.ts';
import { newTask } from '../../machines/task/new-task.ts';
import { taskMachine } from '../../machines/task/task-machine.ts';

/** A task whose agent is waiting for its model call. */
function asking() {
  const context = newTask(taskInput(), 0);
  return taskMachine.resolveState({ value: { working: { prompt: 'asking' } }, context });
}

type Snapshot = ReturnType<typeof asking>;
const after = (snapshot: Snapshot, event: object): Snapshot =>
  transition(taskMachine, snapshot, { now: 1, ...event } as never)[0];
const timeOut = (snapshot: Snapshot) =>
  after(snapshot, { type: 'xstate.after.agentTimeLimit.task.working' }).context.reason;

test('the reason of a time-out names the failure that caused the last retry, if there was one', () => {
  const limited = {
    type: 'xstate.error.actor.turn',
    error: { code: 'provider-limited', message: 'acme answered 429: too many requests', retryable: true },
  };
  expect(timeOut(asking())).toBe('the agent took longer than 20 s');
  expect(timeOut(after(asking(), limited))).toBe(
    'the agent took longer than 20 s; the last failure: acme answered 429: too many requests',
  );
  const output = { finishReason: 'stop', text: { text: 'x' }, usage: { inputTokens: 1, outputTokens: 1, costUsd: 0 } };
  const answered = after(after(asking(), limited), { type: 'xstate.done.actor.turn', output });
  expect(timeOut(answered)).toBe('the agent took longer than 20 s');
});

test('the usage of failed turns counts for the task, whether it continues or fails; a turn that reached no provider adds nothing', () => {
  const failed = (rest: object, usage: object | null) => ({
    type: 'xstate.error.actor.turn',
    error: { code: 'provider-failed', message: 'no', ...rest, ...(usage === null ? {} : { details: { usage } }) },
  });
  const used = { inputTokens: 10, outputTokens: 5, costUsd: 0.5 };
  const retried = after(asking(), failed({ retryable: true }, { ...used, cachedInputTokens: 3 }));
  expect(retried.context.usage).toEqual(used);
  const lost = after(retried, failed({ code: 'unknown', retryable: false }, used));
  expect(lost.context).toMatchObject({ modelTurnsUnknown: 1, usage: { inputTokens: 20, costUsd: 1 } });
  const nobody = after(lost, failed({ retryable: true }, { inputTokens: 0, outputTokens: 0, costUsd: null }));
  expect(nobody.context.usage).toEqual(lost.context.usage);
  const over = after(nobody, failed({ retryable: false }, used));
  expect(over.context).toMatchObject({ end: 'failed', usage: { inputTokens: 30, outputTokens: 15, costUsd: 1.5 } });
  expect(after(nobody, failed({ retryable: false }, null)).context.usage).toEqual(lost.context.usage);
});
