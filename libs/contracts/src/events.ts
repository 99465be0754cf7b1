import { z } from 'zod';
import { wireErrorSchema } from './errors.ts';
import { taskStateSchema } from './task-states.ts';
import { runSummarySchema, runViewSchema, taskViewSchema, usageSchema } from './views.ts';

/**
 * A CloudEvents 1.0 event in the structured mode of the NATS binding. `sequence` counts the events of each actor from
 * 1, so that a reader notices a gap. A republished event has the same `id`.
 */
const cloudEvent = <Type extends string, Data extends z.ZodType>(type: Type, description: string, data: Data) =>
  z
    .object({
      specversion: z.literal('1.0'),
      id: z
        .string()
        .describe('Unique id of the event. A repeated event has the same id, so use it to remove duplicates.'),
      source: z.string().describe('The actor that publishes it: `/coppice/<actor kind>/<actor id>`.'),
      type: z.literal(`coppice.${type}` as const),
      time: z.string().describe('Time of the event, RFC 3339.'),
      datacontenttype: z.literal('application/json'),
      sequence: z.string().describe('Number of the event within its source, from 1 without gaps: an integer as text.'),
      data: data.describe('Data of the event; its form depends on the type.'),
    })
    .describe(description);

const runSubmittedData = runViewSchema
  .pick({ runId: true, requestId: true, repository: true, baseBranch: true })
  .extend({ tasks: z.int().describe('Number of tasks.') });
/** A rejected run request of the durable intake. It is an event, since its sender doesn't wait for an answer. */
const runRefusedData = runViewSchema.pick({ runId: true, requestId: true }).extend({ failure: wireErrorSchema });
/** A rejected request of the durable intake without a valid requestId, so that its sender can't derive a run id. */
const intakeRefusedData = z.object({
  intakeSequence: z.int().describe('The `seq` in the acknowledgement of the request.'),
  failure: wireErrorSchema,
});
const runEndedData = runSummarySchema
  .pick({ runId: true, state: true, taskCounts: true })
  .extend(runViewSchema.pick({ usage: true }).shape);
const ofTask = taskViewSchema.pick({ runId: true, taskId: true, name: true });
/**
 * A step of a task. An event lists the steps since the task's previous event, which fill the time between the two
 * events.
 */
export const taskStepSchema = z.object({
  what: z
    .string()
    .describe(
      '`<service>.<operation>`; `landing`: a wait for the landing slot of the branch; `setup`: a setup that tasks share.',
    ),
  orderedAt: z.string().describe('RFC 3339.'),
  endedAt: z.string().describe('Time when the result was handled. RFC 3339.'),
  queuedMs: z
    .number()
    .nonnegative()
    .nullable()
    .describe('Time in a queue until a service took the command, in milliseconds; null if unknown.'),
  workedMs: z
    .number()
    .nonnegative()
    .nullable()
    .describe(
      'Time that the service needed, in milliseconds; null if unknown. The rest of the time was spent on the way to the service and back.',
    ),
  error: z.string().nullable().describe("The error's code; null if the step succeeded."),
});
export type TaskStep = z.infer<typeof taskStepSchema>;
const steps = z
  .array(taskStepSchema)
  .optional()
  .describe('The steps whose results the task received since its previous event, in the order of the results.');
const taskStateData = ofTask.extend({
  from: taskStateSchema.nullable().describe('The previous state; null at the beginning.'),
  to: taskStateSchema.describe('The present state.'),
  reason: z.string().nullable().describe('The reason in one sentence, if there is one.'),
  dependsOn: z
    .array(z.string())
    .optional()
    .describe('Only with the first state: names of the tasks that must land before this task starts.'),
  steps,
});
/** A turn of a `loop` agent. The event is published before the turn's tool calls run. All texts are truncated. */
const taskTurnData = ofTask.extend({
  turn: z.int().describe('Number of the turn, from 1.'),
  turnId: z.string().describe('The `turnId` of the turn in the transcript.'),
  text: z.string().describe("The model's text beside its tool calls."),
  calls: z
    .array(
      z.object({
        name: z.string().describe('The tool.'),
        about: z.string().describe('The command, path or pattern that the call names.'),
      }),
    )
    .describe('The tool calls, in order.'),
  cached: z.boolean().optional().describe("True if the answer is from the gateway's cache."),
  usage: usageSchema.describe('Usage of the whole task so far.'),
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

/** The schema of the whole CloudEvent of each event type. The type is the last token of the subject. */
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
