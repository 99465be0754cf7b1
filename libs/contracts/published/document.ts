/**
 * Makes the contract from libs/contracts, as an AsyncAPI 3 document. `receive` and `send` describe what Coppice does.
 */
import {
  agentSchema,
  contentPartSchema,
  errorCodes,
  events,
  finishReasonSchema,
  imageSchema,
  jsonSchemasOf,
  mergeMethodSchema,
  mergeModeSchema,
  messageHeaders,
  modelLimitsSchema,
  modelLimitsViewSchema,
  modelMessageSchema,
  modelSettingsSchema,
  modelUsageSchema,
  networkSchema,
  noRun,
  runItself,
  runStateSchema,
  runSummarySchema,
  runViewSchema,
  signatureSchema,
  streams,
  strictly,
  subjects,
  taskDefaultsSchema,
  taskRequestSchema,
  taskStateSchema,
  taskStepSchema,
  taskSummarySchema,
  taskViewSchema,
  textReferenceSchema,
  toolCallSchema,
  toolDefinitionSchema,
  usageSchema,
  wireErrorSchema,
} from '@coppice/contracts';
import type { JsonSchema } from '@coppice/contracts';
import type { z } from 'zod';
import {
  eventMessages,
  intakeRequest,
  intakeStored,
  methods,
  publishedMessages,
  records,
  refusal,
} from './messages.ts';
import type { PublishedMessage } from './messages.ts';
import { typeNameOf, withTitles } from './titles.ts';

/** Schemas that several messages contain, by their names in the document. Schemas of requests reject unknown fields. */
const sharedSchemas = {
  Agent: agentSchema,
  ContentPart: contentPartSchema,
  ContentPartInput: strictly(contentPartSchema),
  CoppiceError: wireErrorSchema,
  FinishReason: finishReasonSchema,
  Image: imageSchema,
  ImageInput: strictly(imageSchema),
  MergeMethod: mergeMethodSchema,
  MergeMode: mergeModeSchema,
  ModelLimits: modelLimitsSchema,
  ModelLimitsView: modelLimitsViewSchema,
  ModelMessage: modelMessageSchema,
  ModelMessageInput: strictly(modelMessageSchema),
  ModelSettings: strictly(modelSettingsSchema),
  ModelUsage: modelUsageSchema,
  Network: networkSchema,
  RunState: runStateSchema,
  RunSummary: runSummarySchema,
  RunView: runViewSchema,
  Signature: signatureSchema,
  SignatureInput: strictly(signatureSchema),
  TaskDefaults: taskDefaultsSchema,
  TaskRequest: taskRequestSchema,
  TaskState: taskStateSchema,
  TaskStep: taskStepSchema,
  TaskSummary: taskSummarySchema,
  TaskView: taskViewSchema,
  TextReference: textReferenceSchema,
  TextReferenceInput: strictly(textReferenceSchema),
  ToolCall: toolCallSchema,
  ToolDefinition: strictly(toolDefinitionSchema),
  Usage: usageSchema,
};

const parameters = {
  tenant: {
    description:
      'Whose run it is: lower-case letters, digits and dashes, at most 63. `default` where nobody configured another.',
  },
  runId: { description: `The id of a run; \`${noRun}\` in events of a request that names none.` },
  taskId: {
    description: `The id of a task; \`${runItself}\` in events of the run itself; of a request that names no run the number that the intake gave it.`,
  },
  type: { description: 'The type of the event.', enum: Object.keys(events) },
  source: {
    description: 'Whose queue the message was in: `actor`, the name of a service, or `intake.` and the tenant.',
  },
};

const text = (description: string): JsonSchema => ({ type: 'string', description });

const messageTraits = {
  traced: {
    headers: {
      type: 'object',
      properties: {
        traceparent: text('W3C trace context: the run is part of this trace. Lower-case.'),
        tracestate: text('W3C trace context, kept with it.'),
      },
    },
  },
  refused: {
    headers: {
      type: 'object',
      properties: {
        [messageHeaders.errorCode]: text('The code of the error.'),
        [messageHeaders.errorText]: text('Its message, on one line.'),
      },
      required: [messageHeaders.errorCode, messageHeaders.errorText],
    },
  },
};

const reference = (...path: string[]) => ({ $ref: `#/${path.join('/')}` });
const messageReferences = (messages: readonly PublishedMessage[]) =>
  Object.fromEntries(messages.map(({ name }) => [name, reference('components', 'messages', name)]));
const inChannel = (key: string, messages: readonly PublishedMessage[]) =>
  messages.map(({ name }) => reference('channels', key, 'messages', name));

function channel(address: string | null, description: string, messages: readonly PublishedMessage[]) {
  const names = [...(address ?? '').matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
  return {
    address,
    description,
    messages: messageReferences(messages),
    ...(names.length === 0
      ? {}
      : { parameters: Object.fromEntries(names.map((name) => [name, reference('components', 'parameters', name)])) }),
  };
}

const repliesOf = (output: PublishedMessage, streamed: PublishedMessage | null): PublishedMessage[] => [
  output,
  ...(streamed === null ? [] : [streamed]),
  refusal,
];

function channels() {
  const made: Record<string, ReturnType<typeof channel>> = {};
  for (const {
    name,
    description,
    messages: [input, output],
    streamed,
  } of methods) {
    made[name] = channel(subjects.api('{tenant}', name), description, [input]);
    made[`${name}.reply`] = channel(null, "The request's reply subject.", repliesOf(output, streamed));
  }
  made['intake'] = channel(subjects.intake('{tenant}'), `Stream ${streams.intake}, a work queue.`, [intakeRequest]);
  made['intake.reply'] = channel(null, "The request's reply subject.", [intakeStored]);
  made['events'] = channel(
    subjects.event('{tenant}', '{runId}', '{taskId}', '{type}'),
    `Stream ${streams.events}. CloudEvents 1.0.`,
    eventMessages,
  );
  for (const { stream, address, message } of records)
    made[message.name] = channel(address, `Stream ${stream}.`, [message]);
  return made;
}

function operations() {
  const received = (
    name: string,
    description: string,
    input: PublishedMessage,
    replies: PublishedMessage[],
    more = {},
  ) => ({
    action: 'receive',
    channel: reference('channels', name),
    summary: description,
    messages: inChannel(name, [input]),
    reply: { channel: reference('channels', `${name}.reply`), messages: inChannel(`${name}.reply`, replies) },
    ...more,
  });
  const sent = (name: string, description: string, messages: PublishedMessage[]) => ({
    action: 'send',
    channel: reference('channels', name),
    summary: description,
    messages: inChannel(name, messages),
  });
  return {
    ...Object.fromEntries(
      methods.map(({ name, description, deadlineMs, messages: [input, output], streamed }) => [
        name,
        received(name, description, input, repliesOf(output, streamed), { 'x-wait-seconds': deadlineMs / 1_000 }),
      ]),
    ),
    intake: received('intake', intakeRequest.description, intakeRequest, [intakeStored]),
    events: sent('events', 'What happens to runs and tasks.', eventMessages),
    ...Object.fromEntries(
      records.map(({ message }) => [message.name, sent(message.name, message.description, [message])]),
    ),
  };
}

/** Name of each schema. A schema that several messages share has the name of the first. */
const schemaNames = new Map<z.ZodType, string>();
for (const [name, schema] of Object.entries(sharedSchemas)) schemaNames.set(schema, name);
for (const { name, schema } of publishedMessages) if (!schemaNames.has(schema)) schemaNames.set(schema, name);

/** Returns every schema by its name, with titles. A schema refers to the schemas that it contains. */
function titledSchemas(location: (name: string) => string): Record<string, JsonSchema> {
  const schemas = jsonSchemasOf(Object.fromEntries([...schemaNames].map(([schema, name]) => [name, schema])), location);
  return Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => [name, withTitles(schema, typeNameOf(name))]),
  );
}

/** @param version version of the contract */
export function asyncApiDocument(version: string): JsonSchema {
  const messages = publishedMessages.map(({ name, title, description, headers, schema, examples }) => [
    name,
    {
      name,
      title,
      summary: description,
      ...(headers === undefined ? {} : { traits: [reference('components', 'messageTraits', headers)] }),
      payload: reference('components', 'schemas', schemaNames.get(schema) ?? name),
      examples,
    },
  ]);
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Coppice',
      version,
      description:
        'Runs coding agents against a git repository and lands what is verified. The prose is in docs/protocol.md.',
      license: { name: 'Apache-2.0' },
    },
    defaultContentType: 'application/json',
    servers: {
      nats: {
        host: 'localhost:4222',
        protocol: 'nats',
        // AsyncAPI has no security scheme for clients that sign a nonce.
        description:
          'NATS 2.12 or newer, with JetStream. A client shows a user and a password, or signs the nonce by an nkey: docs/protocol.md, section 1.',
      },
    },
    channels: channels(),
    operations: operations(),
    components: {
      parameters,
      messageTraits,
      messages: Object.fromEntries(messages),
      schemas: titledSchemas((name) => `#/components/schemas/${name}`),
    },
    'x-error-codes': errorCodes,
  };
}

/**
 * Returns each message's schema by its name, for validators and generators that take a single file. The `definitions`
 * of a schema are the schemas to which it refers.
 */
export function standaloneSchemas(): Record<string, JsonSchema> {
  const schemas = titledSchemas((name) => `#/definitions/${name}`);
  return Object.fromEntries(
    publishedMessages.map(({ name, description, schema }) => {
      const root = schemas[schemaNames.get(schema) ?? name] as JsonSchema;
      const definitions = Object.fromEntries(held(root, schemas).map((inner) => [inner, schemas[inner] as JsonSchema]));
      const $schema = 'http://json-schema.org/draft-07/schema#';
      const withThem = Object.keys(definitions).length === 0 ? {} : { definitions };
      return [name, { $schema, ...root, description, ...withThem }];
    }),
  );
}

/** Returns the names of the schemas to which a schema refers, directly or indirectly, in alphabetical order. */
function held(schema: JsonSchema, schemas: Record<string, JsonSchema>, found = new Set<string>()): string[] {
  for (const [, name = ''] of JSON.stringify(schema).matchAll(/"\$ref":"#\/definitions\/([^"]+)"/g)) {
    if (found.has(name)) continue;
    found.add(name);
    held(schemas[name] as JsonSchema, schemas, found);
  }
  return [...found].toSorted();
}
