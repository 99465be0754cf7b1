import { failureOf } from '@coppice/durable-actor';
import type { EventObject } from 'xstate';
import { taskLimits } from '../../machines/task/task-context.ts';
import type { TaskContext } from '../../machines/task/task-context.ts';
import { timeOf } from '../../machines/task/task-setup.ts';

type Given = { context: TaskContext; event: EventObject };

const triesAreLeft = (context: TaskContext): boolean => context.retries + 1 < taskLimits.stepTriesMax;

export const executorLost = ({ event }: Given): boolean => failureOf(event).error.code === 'unknown';

export const mayReadAgain = (given: Given): boolean => executorLost(given) && triesAreLeft(given.context);

/** True if some of the calls may have run, so that a retry could run them twice. */
export const callsUnknown = ({ event }: Given): boolean =>
  ['unknown', 'internal', 'deadline-exceeded', 'delivery-limit'].includes(failureOf(event).error.code);

/** True if a retry would fail again, but a shorter conversation may succeed. */
export function conversationFailed({ context, event }: Given): boolean {
  const { error } = failureOf(event);
  const next = context.loop?.next;
  const asksForSummary = next?.do === 'ask' && next.for === 'summary';
  const mayComeRight = error.retryable && triesAreLeft(context);
  return error.code === 'context-exceeded' || (asksForSummary && !mayComeRight);
}

export const checkpointDue = ({ context, event }: Given): boolean =>
  context.unsaved && timeOf(event) - context.savedAtMs >= taskLimits.checkpointIntervalMs;
