import { z } from 'zod';
import { wireErrorSchema } from './errors.ts';
import { runStateSchema, taskStateSchema, taskViewSchema, usageSchema } from './views.ts';

/**
 * Events are CloudEvents 1.0 in the NATS binding's structured form. `sequence` counts an actor's own events from 1, so that a reader
 * notices a gap; `id` is the same on every repeat.
 */
const cloudEvent = <Type extends string, Data extends z.ZodType>(type: Type, data: Data) =>
  z.object({
    specversion: z.literal('1.0'),
    id: z.string(),
    /** `/coppice/<actor kind>/<actor id>`. */
    source: z.string(),
    type: z.literal(`coppice.${type}` as const),
    /** RFC 3339. */
    time: z.string(),
    datacontenttype: z.literal('application/json'),
    /** CloudEvents' extension: an integer as text. */
    sequence: z.string(),
    data,
  });

const runSubmittedData = z.object({
  runId: z.string(),
  requestId: z.string(),
  repository: z.string(),
  baseBranch: z.string(),
  tasks: z.int(),
});
/** A run that came through the durable intake, where nobody waits for an answer, and was refused. */
const runRefusedData = z.object({ runId: z.string(), requestId: z.string(), failure: wireErrorSchema });
const runEndedData = z.object({
  runId: z.string(),
  state: runStateSchema,
  taskCounts: z.record(z.string(), z.int()),
});
const taskStateData = z.object({
  runId: z.string(),
  taskId: z.string(),
  name: z.string(),
  from: taskStateSchema.nullable(),
  to: taskStateSchema,
  reason: z.string().nullable(),
});
/** A turn of a `loop` agent, as the model answered it and before its calls are done. All texts are shortened. */
const taskTurnData = z.object({
  runId: z.string(),
  taskId: z.string(),
  name: z.string(),
  /** From 1. */
  turn: z.int(),
  turnId: z.string(),
  /** What the model says beside its calls. */
  text: z.string(),
  /** In order; `about` is the command, path or pattern that the call names. */
  calls: z.array(z.object({ name: z.string(), about: z.string() })),
  /** Of the whole task so far. */
  usage: usageSchema,
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

/** Every event type: the last token of its subject, with the schema of the whole CloudEvent. */
export const events = {
  'run-submitted': cloudEvent('run-submitted', runSubmittedData),
  'run-refused': cloudEvent('run-refused', runRefusedData),
  'run-ended': cloudEvent('run-ended', runEndedData),
  'task-state': cloudEvent('task-state', taskStateData),
  'task-turn': cloudEvent('task-turn', taskTurnData),
  'task-ended': cloudEvent('task-ended', taskEndedData),
} as const;
export type EventType = keyof typeof events;

export const coppiceEventSchema = z.discriminatedUnion('type', [
  events['run-submitted'],
  events['run-refused'],
  events['run-ended'],
  events['task-state'],
  events['task-turn'],
  events['task-ended'],
]);
export type CoppiceEvent = z.infer<typeof coppiceEventSchema>;
