/** Every message type of the contract, with its schema and examples. */
import {
  api,
  chatApi,
  chatMessageSchema,
  deadLetterSchema,
  events,
  logChunkSchema,
  streams,
  subjects,
  transcriptEntrySchema,
  wireErrorSchema,
} from '@coppice/contracts';
import { z } from 'zod';
import { chatMessageExamples } from './chat-examples.ts';
import {
  deadLetterExamples,
  errorExamples,
  eventExamples,
  intakeExamples,
  logExamples,
  methodExamples,
  transcriptExamples,
} from './examples.ts';
import type { Example } from './examples.ts';

/** A message type. `name` is its key in the document and the name of its schema file. */
export type PublishedMessage = {
  name: string;
  title: string;
  description: string;
  schema: z.ZodType;
  /** A key of the document's `components.messageTraits`. */
  headers?: 'traced' | 'refused';
  examples: Example[];
};

const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;

const chatMessage: PublishedMessage = {
  name: `${chatApi.chat.name}.message`,
  title: `Message of an answer of ${chatApi.chat.name}`,
  description: 'An answer in several messages consists of these: `started` first, `result` or `error` last.',
  schema: chatMessageSchema,
  examples: chatMessageExamples,
};

/** The message type of streamed answers, by the method's name. */
const streamedAnswers: Readonly<Record<string, PublishedMessage>> = { [chatApi.chat.name]: chatMessage };

/**
 * Every method of the API, with its request and its answer. `streamed` is the message type of a streamed answer, or
 * null if the method has none.
 */
export const methods = [...Object.values(api), ...Object.values(chatApi)].map(
  ({ name, description, deadlineMs, input, output }) => {
    const { input: inputExamples = [], output: outputExamples = [] } = methodExamples[name] ?? {};
    return {
      name,
      description,
      deadlineMs,
      messages: [
        {
          name: `${name}.input`,
          title: `Request of ${name}`,
          description,
          schema: input,
          headers: 'traced',
          examples: inputExamples,
        },
        {
          name: `${name}.output`,
          title: `Answer of ${name}`,
          description: `What ${name} answers when it isn't refused.`,
          schema: output,
          examples: outputExamples,
        },
      ] satisfies [PublishedMessage, PublishedMessage],
      streamed: streamedAnswers[name] ?? null,
    };
  },
);

export const refusal: PublishedMessage = {
  name: 'error',
  title: 'Refusal',
  description: 'Answers any request that is refused. The headers distinguish it from an answer.',
  schema: z.object({ error: wireErrorSchema }),
  headers: 'refused',
  examples: errorExamples,
};

export const eventMessages: PublishedMessage[] = Object.entries(events).map(([type, schema]) => ({
  name: `event.${type}`,
  title: `Event ${type}`,
  description: sentence(schema.description ?? ''),
  schema,
  headers: 'traced',
  examples: eventExamples[type] ?? [],
}));

export const intakeRequest: PublishedMessage = {
  name: 'intake.request',
  title: 'Run request in the intake',
  description: 'The payload of run.submit, from a publisher that does not wait for a service.',
  schema: api.runSubmit.input,
  headers: 'traced',
  examples: intakeExamples.request,
};

export const intakeStored: PublishedMessage = {
  name: 'intake.stored',
  title: 'Run request stored',
  description:
    "The NATS server's own answer: the request is stored. One with `error` in place of `seq`, or none, means: publish again.",
  schema: z.object({
    stream: z.literal(streams.intake).describe('Where it is stored.'),
    seq: z.int().min(1).describe('Its place there.'),
  }),
  examples: intakeExamples.stored,
};

/** Messages that Coppice stores and that no method returns. Clients read them from the stream. */
export const records: { stream: string; address: string; message: PublishedMessage }[] = [
  {
    stream: streams.transcripts,
    address: subjects.transcript('{tenant}', '{taskId}'),
    message: {
      name: 'transcript',
      title: 'Turn of a model',
      description: 'The request to a model and its answer, once a turn.',
      schema: transcriptEntrySchema,
      examples: transcriptExamples,
    },
  },
  {
    stream: streams.logs,
    address: subjects.log('{tenant}', '{taskId}'),
    message: {
      name: 'log',
      title: 'Output of a command',
      description: 'What a command of a task printed, as it comes.',
      schema: logChunkSchema,
      examples: logExamples,
    },
  },
  {
    stream: streams.deadLetters,
    address: subjects.deadLetter('{source}'),
    message: {
      name: 'dead-letter',
      title: 'Dead letter',
      description: 'A message that was given up on, with the reason.',
      schema: deadLetterSchema,
      examples: deadLetterExamples,
    },
  },
];

export const publishedMessages: PublishedMessage[] = [
  ...methods.flatMap(({ messages, streamed }) => [...messages, ...(streamed === null ? [] : [streamed])]),
  refusal,
  intakeRequest,
  intakeStored,
  ...eventMessages,
  ...records.map(({ message }) => message),
];
