import { z } from 'zod';
import { wireErrorSchema } from './errors.ts';
import { taskStateSchema } from './task-states.ts';
import { runSummarySchema, runViewSchema, taskViewSchema, usageSchema } from './views.ts';

/**
 * A CloudEvents 1.0 event in the structured mode of the NATS binding. `sequence` counts an actor's own events from 1, so that a reader
 * notices a gap; `id` is the same on every repeat.
 */
const cloudEvent = <Type extends string, Data extends z.ZodType>(type: Type, description: string, data: Data) =>
  z
    .object({
      specversion: z.literal('1.0'),
      id: z.string().describe('The same on every repeat of an event, and unique: dedupe by it.'),
      source: z.string().describe('The actor that publishes it: `/coppice/<actor kind>/<actor id>`.'),
      type: z.literal(`coppice.${type}` as const),
      time: z.string().describe('When it happened, RFC 3339.'),
      datacontenttype: z.literal('application/json'),
      sequence: z.string().describe('Counts the events of one source from 1, without a gap: an integer as text.'),
      data: data.describe('What happened, by the type.'),
    })
    .describe(description);

const runSubmittedData = runViewSchema
  .pick({ runId: true, requestId: true, repository: true, baseBranch: true })
  .extend({ tasks: z.int().describe('How many there are.') });
/** A rejected run request of the durable intake, whose sender waits for no answer. */
const runRefusedData = runViewSchema.pick({ runId: true, requestId: true }).extend({ failure: wireErrorSchema });
/** A rejected request of the durable intake from which its sender can't know a run id. */
const intakeRefusedData = z.object({
  intakeSequence: z.int().describe('The `seq` in the acknowledgement of the request.'),
  failure: wireErrorSchema,
});
const runEndedData = runSummarySchema
  .pick({ runId: true, state: true, taskCounts: true })
  .extend(runViewSchema.pick({ usage: true }).shape);
const ofTask = taskViewSchema.pick({ runId: true, taskId: true, name: true });
/** One step of a task. The steps account for the time between two of its events. */
export const taskStepSchema = z.object({
  what: z
    .string()
    .describe('`<service>.<operation>`; `landing`: its turn at the branch; `setup`: a setup that tasks share.'),
  orderedAt: z.string().describe('RFC 3339.'),
  endedAt: z.string().describe('When its result was handled. RFC 3339.'),
  queuedMs: z
    .number()
    .nonnegative()
    .nullable()
    .describe("How long it lay in a queue until a service took it, in milliseconds; null where that isn't known."),
  workedMs: z
    .number()
    .nonnegative()
    .nullable()
    .describe(
      "How long the service took, in milliseconds; null where that isn't known. The rest was the way there and back.",
    ),
  error: z.string().nullable().describe("The error's code; null where it succeeded."),
});
export type TaskStep = z.infer<typeof taskStepSchema>;
const steps = z
  .array(taskStepSchema)
  .optional()
  .describe('What the task ordered and got since its event before this one, in the order in which it came back.');
const taskStateData = ofTask.extend({
  from: taskStateSchema.nullable().describe('Null at first.'),
  to: taskStateSchema.describe('The state that it is in now.'),
  reason: z.string().nullable().describe('Why, in one sentence, where there is a reason.'),
  dependsOn: z
    .array(z.string())
    .optional()
    .describe('With the first state: the names of the tasks that must have landed before it starts.'),
  steps,
});
/** A turn of a `loop` agent: the model's answer, before its tool calls run. All texts are truncated. */
const taskTurnData = ofTask.extend({
  turn: z.int().describe('From 1.'),
  turnId: z.string().describe('Its `turnId` in the transcript.'),
  text: z.string().describe('What the model says beside its calls.'),
  calls: z
    .array(
      z.object({
        name: z.string().describe('The tool.'),
        about: z.string().describe('The command, path or pattern that the call names.'),
      }),
    )
    .describe('In order.'),
  cached: z.boolean().optional().describe("Whether the answer is an earlier one, of the gateway's cache."),
  usage: usageSchema.describe('Of the whole task so far.'),
  steps,
});
const taskEndedData = taskViewSchema.pick({
  runId: true,
  taskId: true,
  name: true,
  state: true,
  reason: true,
  failure: true,
  branch: true,
  commit: true,
  landedCommit: true,
  finishCommand: true,
  rescue: true,
  logTail: true,
  usage: true,
});

/** Every event type (the last token of its subject), with the schema of the whole CloudEvent. */
export const events = {
  'run-submitted': cloudEvent('run-submitted', 'a run was accepted', runSubmittedData),
  'run-refused': cloudEvent(
    'run-refused',
    'a request in the intake was refused; `failure` is the error',
    runRefusedData,
  ),
  'intake-refused': cloudEvent(
    'intake-refused',
    'a request in the intake without a usable `requestId` was refused; `intakeSequence` is the `seq` in the acknowledgement that its sender got',
    intakeRefusedData,
  ),
  'run-ended': cloudEvent('run-ended', 'every task of the run has ended', runEndedData),
  'task-state': cloudEvent(
    'task-state',
    'a task changed its state; `from` is null for the first state; `reason` is set if there is one',
    taskStateData,
  ),
  'task-turn': cloudEvent(
    'task-turn',
    "a `loop` agent took a turn; the event has the model's text and tool calls, shortened",
    taskTurnData,
  ),
  'task-ended': cloudEvent(
    'task-ended',
    'a task has ended; the event has its state, its commit, the landed commit, the place of work that did not land, and the usage',
    taskEndedData,
  ),
} as const;
export type EventType = keyof typeof events;

export const coppiceEventSchema = z.discriminatedUnion('type', [
  events['run-submitted'],
  events['run-refused'],
  events['intake-refused'],
  events['run-ended'],
  events['task-state'],
  events['task-turn'],
  events['task-ended'],
]);
export type CoppiceEvent = z.infer<typeof coppiceEventSchema>;
