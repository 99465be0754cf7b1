/** Tests that the examples in docs/protocol.md match the schemas, and that its tables are complete. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { artifactsKept, bundlesKept, retention } from '@coppice/bus';
import {
  agentSchema,
  api,
  artifactPartBytesMax,
  chatApi,
  buckets,
  chatLimits,
  chatMessageSchema,
  contentPartSchema,
  errorCodes,
  events,
  gatewayCalls,
  jsonSchemaOf,
  modelSettingsSchema,
  runIdOf,
  runLimits,
  runRequestSchema,
  streams,
  subjects,
  taskDefaultsSchema,
  isTaskEnd,
  taskEnds,
  taskIdOf,
  taskRequestSchema,
  taskStates,
} from '@coppice/contracts';
import { nkeyCredentialsSchema } from '@coppice/service';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { publishedMessages } from '../../libs/contracts/published/messages.ts';
import { blocks, example, projectFolder, table, text } from '../support/protocol-document.ts';

const methods = [...Object.values(api), ...Object.values(chatApi)];

/** Returns the published examples of messages with this name or prefix. */
const published = (name: string): unknown[] =>
  publishedMessages
    .filter((message) => message.name === name || message.name.startsWith(`${name}.`))
    .flatMap(({ examples }) => examples.map(({ payload }) => payload));

const expectPublished = (name: string) => (value: unknown) => expect(published(name)).toContainEqual(value);

/** Checks by the label of the code block. */
const checks: Record<string, (value: unknown) => void> = {
  error: expectPublished('error'),
  event: expectPublished('event'),
  transcript: expectPublished('transcript'),
  log: expectPublished('log'),
  'intake stored': expectPublished('intake.stored'),
  'dead letter': expectPublished('dead-letter'),
  'llm.chat.message': expectPublished('llm.chat.message'),
  ...Object.fromEntries(
    methods.flatMap(({ name }) => [
      [`${name} input`, expectPublished(`${name}.input`)],
      [`${name} output`, expectPublished(`${name}.output`)],
    ]),
  ),
  credentials: (value) => expect(nkeyCredentialsSchema.strict().parse(value)).toEqual(value),
  consumer: (value) => expect(value).toMatchObject({ stream_name: streams.events }),
  'service info': (value) =>
    expect(value).toMatchObject({
      name: 'orchestrator',
      endpoints: [
        {
          subject: subjects.apiOfAnyTenant('run.cancel'),
          metadata: {
            description: api.runCancel.description,
            'schema.request': JSON.stringify(jsonSchemaOf(api.runCancel.input)),
            'schema.response': JSON.stringify(jsonSchemaOf(api.runCancel.output)),
          },
        },
      ],
    }),
};

describe('examples', () => {
  const labels = [...new Set(blocks.map(({ label }) => label))].filter((label) => label !== 'conf');
  test.each(labels)('%s', (label) => {
    const expectGood = checks[label];
    if (expectGood === undefined) throw new Error(`no check for the example: ${label}`);
    for (const value of example(label)) expectGood(value);
  });

  test('the examples are of one run, and its ids are derived as documented', () => {
    const [request] = example('run.submit input') as [{ requestId: string; tasks: { name: string }[] }];
    const runId = runIdOf('acme', request.requestId);
    const answers = example('run.submit output') as { runId: string; created: boolean; tasks: { taskId: string }[] }[];
    expect(answers.map(({ created }) => created)).toEqual([true, false]);
    for (const answer of answers) {
      expect(answer.runId).toBe(runId);
      expect(answer.tasks[0]?.taskId).toBe(taskIdOf(runId, request.tasks[0]?.name ?? ''));
    }
  });
});

test("the command of docs/gateway.md makes a token for the gateway's endpoints", () => {
  const gateway = readFileSync(path.join(projectFolder, 'docs/gateway.md'), 'utf8');
  const [, documented = ''] = /^```json mint-token input\n(.*?)^```$/ms.exec(gateway) ?? [];
  const input: unknown = JSON.parse(documented);
  const { shape } = gatewayCalls.mintToken.input;
  expect(gatewayCalls.mintToken.input.parse(input)).toEqual(input);
  expect(input).toMatchObject(Object.fromEntries(Object.keys(shape).map((name) => [name, expect.anything()])));
  for (const name of Object.keys(shape.grant.shape)) expect(input).toHaveProperty(`grant.${name}`);
  for (const name of Object.keys(gatewayCalls.mintToken.output.shape)) expect(gateway).toContain(`\`${name}\``);
});

describe('tables', () => {
  test('every error code, and whether it is retryable', () => {
    const expected = Object.entries(errorCodes);
    expect(table('code')).toEqual(
      expected.map(([code, { retryable, meaning }]) => [code, retryable ? 'yes' : 'no', meaning]),
    );
  });

  test('every method of the API, with its fields and its deadline', () => {
    const fieldsOf = ({ input }: (typeof methods)[number]) =>
      Object.entries<z.ZodType>(input.shape)
        .map(([name, schema]) => (schema.safeParse(undefined).success ? `\`${name}?\`` : `\`${name}\``))
        .join(', ')
        .replace(/^`([^`]*)`$/, '$1');
    const elsewhere: Record<string, string> = {
      'run.submit': '[section 4](#4-a-run-request)',
      'llm.chat': '[section 15](#15-asking-a-model)',
    };
    const expected = methods.map((method) => [
      method.name,
      elsewhere[method.name] ?? fieldsOf(method),
      method.description.replace(/\.$/, ''),
      String(method.deadlineMs / 1_000),
    ]);
    expect(table('method')).toEqual(expected);
  });

  test('no output has a field `error`', () => {
    for (const { name, output } of methods) {
      const { properties } = jsonSchemaOf(output) as { properties?: object };
      expect([name, Object.keys(properties ?? {})]).not.toEqual([name, expect.arrayContaining(['error'])]);
      expect([name, Object.keys(properties ?? {}).length]).not.toEqual([name, 0]);
    }
  });

  test('every type of event', () => {
    expect(table('type')).toEqual(Object.entries(events).map(([type, { description }]) => [type, description]));
  });

  test('every field of a run request, and which fields are also defaults', () => {
    const fields = table('field').map(([field = '']) => field);
    expect(fields.toSorted()).toEqual(Object.keys(runRequestSchema.shape).toSorted());
    const [, ofTask = ''] = text.split('A task, in which');
    const rows = [...(ofTask.split('\n## ')[0] ?? '').matchAll(/^\| `(\w+)`( \*)? \|/gm)];
    const names = rows.map(([, name]) => name ?? '');
    expect(names.toSorted()).toEqual(Object.keys(taskRequestSchema.shape).toSorted());
    const common = rows.filter(([, , star]) => star !== undefined).map(([, name]) => name ?? '');
    expect(common.toSorted()).toEqual(Object.keys(taskDefaultsSchema.shape).toSorted());
  });

  test('every kind of agent, with its fields', () => {
    for (const { shape } of agentSchema.options) {
      expect(text).toContain(`"kind": "${shape.kind.value}"`);
      for (const field of Object.keys(shape)) expect(text).toContain(`"${field}"`);
    }
  });

  test('every state', () => {
    const living = taskStates.filter((state) => !isTaskEnd(state));
    const listed = (states: readonly string[]) =>
      states
        .map((state) => `\`${state}\``)
        .join(', ')
        .replace(/, ([^,]*)$/, ' and $1');
    expect(text).toContain(`the states ${listed(living)}.`);
    expect(text).toContain(`Its ends are ${listed(taskEnds)};`);
  });

  test('the limits', () => {
    const documented = Object.fromEntries(table('limit').map(([limit, value]) => [limit, value]));
    expect(documented).toMatchObject({
      'tasks of a run': String(runLimits.tasksMax),
      'names in `dependsOn`': String(runLimits.dependenciesMax),
      prompt: `${runLimits.promptBytesMax} bytes`,
      'a command': `${runLimits.commandBytesMax} bytes`,
      concurrency: String(runLimits.concurrencyMax),
      'limits.time': `${runLimits.timeMsMin} to ${runLimits.timeMsMax} ms`,
      'a whole run request': `${runLimits.requestBytesMax} bytes`,
      'a part of an artifact': `${artifactPartBytesMax} bytes`,
      '`timeLimitMs` of a chat': `${chatLimits.timeLimitMsMin} to ${chatLimits.timeLimitMsMax} ms; with \`"stream": false\` at most ${chatLimits.wholeTimeLimitMsMax}`,
      'messages, and tools, of a chat': `${chatLimits.messagesMax}, and ${chatLimits.toolsMax}`,
    });
  });

  test('how long messages and objects are kept', () => {
    const documented = table('stream or object store');
    const objects = { [buckets.bundles]: bundlesKept, [buckets.artifacts]: artifactsKept };
    const expected = Object.entries({ ...retention, ...objects });
    expect(documented).toEqual(expected.map(([stream, kept]) => [stream, `${kept.days}`, `${kept.mebibytesMax} MiB`]));
  });

  test('the subjects', () => {
    const documented = table('subject').map(([subject]) => subject);
    expect(documented).toEqual([
      subjects.api('<tenant>', '<noun>.<verb>'),
      subjects.intake('<tenant>'),
      subjects.event('<tenant>', '<run id>', '<task id>', '<type>'),
      subjects.transcript('<tenant>', '<task id>'),
      subjects.log('<tenant>', '<task id>'),
      subjects.deadLetter('<source>'),
    ]);
    for (const stream of [streams.intake, streams.events, streams.transcripts, streams.logs, streams.deadLetters]) {
      expect(text).toContain(`stream \`${stream}\``);
    }
  });

  test('every type of chat message, and how long each side waits for the other', () => {
    const documented = table('`type`').map(([type]) => type);
    expect(documented).toEqual(chatMessageSchema.options.map(({ shape }) => shape.type.value));
    for (const [limitMs, sentence] of [
      [chatLimits.wholeTimeLimitMsMax, 'within %s'],
      [chatLimits.silenceMsMax, 'Something comes every %s at least'],
      [chatLimits.lostAfterMs, 'After %s without a message the gateway is gone'],
      [chatLimits.keepMsMax, 'at least every %s, until the last message came'],
      [chatLimits.unkeptMsMax, '%s after the last one'],
    ] as const)
      expect(text).toContain(sentence.replace('%s', `${limitMs / 1_000} s`));
  });

  test('every part of a message to a model, with its fields', () => {
    const documented = table('part').map(([part, fields]) => [part, fields?.replaceAll('`', '')]);
    const expected = contentPartSchema.options.map(({ shape: { type, ...fields } }) => [
      type.value,
      Object.entries(fields)
        .map(([name, schema]) => (schema.safeParse(undefined).success ? `${name}?` : name))
        .join(', '),
    ]);
    expect(documented).toEqual(expected);
  });

  test('every setting of a chat, with valid values', () => {
    const rows = table('setting');
    const shape: Record<string, z.ZodType> = modelSettingsSchema.shape;
    expect(rows.map(([name, , meaning]) => [name, meaning])).toEqual(
      Object.entries(shape).map(([name, { description }]) => [name, description?.replace(/\.$/, '')]),
    );
    const [question] = example('llm.chat input') as object[];
    for (const [name = '', values = ''] of rows) {
      const code = values.includes('`') ? [...values.matchAll(/`([^`]+)`/g)].map(([, value = '']) => value) : [values];
      const whole = code.filter((value) => /^[[{"\d]|^(?:true|false)$/.test(value));
      expect([name, whole]).not.toEqual([name, []]);
      for (const value of whole) {
        const settings = { [name]: JSON.parse(value) as unknown };
        expect(chatApi.chat.input.parse({ ...question, settings }).settings).toEqual(settings);
      }
    }
  });

  test('how ids are derived', () => {
    const vectors = table('tenant');
    expect(vectors.length).toBeGreaterThan(1);
    for (const [tenant = '', requestId = '', hashed, runId = '', task = '', taskId] of vectors) {
      const parts = ['run', tenant, requestId];
      expect(hashed).toBe(parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join(''));
      expect(runId).toBe(runIdOf(tenant, requestId));
      expect(taskId).toBe(taskIdOf(runId, task));
    }
  });
});

test("the documented name of each client's option for a key occurs in its example", () => {
  const files = [
    'python/with_nats_py.py',
    'go/main.go',
    'rust/src/main.rs',
    'java/Example.java',
    'README.md',
    'typescript/example.ts',
    'typescript/example-nats.ts',
  ].map((file) => readFileSync(path.join(projectFolder, 'examples', file), 'utf8'));
  const rows = table('client');
  expect(rows).toHaveLength(files.length);
  for (const [index, [client, key = '']] of rows.entries()) {
    const [name = 'none'] = /\w+/.exec(key) ?? [];
    expect([client, name, files[index]?.includes(name)]).toEqual([client, name, true]);
  }
});
