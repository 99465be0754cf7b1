/**
 * Makes each kind of change in the real document. Breaking changes must be found, with their place, and all others must
 * pass.
 */
import { describe, expect, test } from 'vitest';
import { breakingChanges } from './breaking.ts';
import type { Contract } from './breaking.ts';
import { asyncApiDocument } from './document.ts';
import { isBreakAllowed, newest } from './versions.ts';

type Schema = {
  type?: unknown;
  properties: Record<string, Schema>;
  required: string[];
  enum: string[];
  items: Schema;
  anyOf: Schema[];
  oneOf: Schema[];
  maxLength?: number;
  maximum?: number;
  maxItems?: number;
  pattern?: string;
  additionalProperties?: unknown;
};
type Document = Contract & {
  channels: Record<string, { address: string | null }>;
  components: {
    schemas: Record<string, Schema>;
    messageTraits: Record<string, { headers: Schema }>;
  };
};

const released = asyncApiDocument('1.0.0') as unknown as Document;

function changed(plant: (document: Document) => void): Document {
  const document = structuredClone(released);
  plant(document);
  expect(document).not.toEqual(released);
  return document;
}

const schema = (document: Document, name: string): Schema => {
  const found = document.components.schemas[name];
  if (found === undefined) throw new Error(`no schema ${name}`);
  return found;
};
/** Returns the schema to which a field refers, or its own schema if it has no reference. */
const referred = (document: Document, node: Schema): Schema => {
  const path = (node as { allOf?: { $ref?: string }[] }).allOf?.[0]?.$ref;
  return path === undefined ? node : schema(document, path.split('/').at(-1) ?? '');
};
const field = (document: Document, name: string, ...fields: string[]): Schema =>
  fields.reduce(
    (node, key) => referred(document, (key === '[]' ? node.items : node.properties[key]) as Schema),
    schema(document, name),
  );

type Case = [what: string, plant: (document: Document) => void, where: RegExp];

const breaks: Case[] = [
  ['an operation is gone', (d) => delete d.operations['task.diff'], /^task\.diff is gone$/],
  [
    'an operation turns round',
    (d) => ((d.operations['log'] as { action: string }).action = 'receive'),
    /^log: Coppice sent this, and now receives it$/,
  ],
  [
    'a subject moves',
    (d) => ((d.channels['run.get'] as { address: string }).address = 'coppice.api.v2.{tenant}.run.get'),
    /^run\.get: the subject coppice\.api\.\{tenant\}\.run\.get became/,
  ],
  [
    'a kind of event is gone',
    (d) => d.operations['events']?.messages.shift(),
    /^events: the message event\.run-submitted is gone$/,
  ],
  ['an error code is gone', (d) => delete d['x-error-codes']['conflict'], /^the error code conflict is gone$/],

  [
    'a request: a new required field',
    (d) => {
      const target = schema(d, 'task.get.input');
      target.properties['comment'] = { type: 'string' } as Schema;
      target.required.push('comment');
    },
    /^task\.approve\.input: properties with comment, required with "comment"$/,
  ],
  [
    'a request: a field is gone, so that it is refused',
    (d) => delete schema(d, 'TaskRequest').properties['dependsOn'],
    /^run\.submit\.input\.tasks\[\]: properties .*dependsOn/,
  ],
  [
    'a request: an optional field becomes required',
    (d) => schema(d, 'run.cancel.input').required.push('reason'),
    /^run\.cancel\.input: required/,
  ],
  [
    'a request: an enum narrows',
    (d) => field(d, 'TaskRequest', 'merge').enum.pop(),
    /^run\.submit\.input\.tasks\[\]\.merge: enum/,
  ],
  [
    'a request: another type',
    (d) => (field(d, 'run.list.input', 'limit').type = 'string'),
    /^run\.list\.input\.limit: type "integer" became "string"/,
  ],
  [
    'a request: a narrower type',
    (d) => field(d, 'TaskRequest', 'verify').anyOf.pop(),
    /^run\.submit\.input\.tasks\[\]\.verify: anyOf without/,
  ],
  [
    'a request: a shorter text',
    (d) => (field(d, 'run.cancel.input', 'reason').maxLength = 100),
    /^run\.cancel\.input\.reason: maxLength 500 became 100$/,
  ],
  [
    'a request: a smaller number',
    (d) => (field(d, 'run.submit.input', 'concurrency').maximum = 8),
    /^run\.submit\.input\.concurrency: maximum 64 became 8$/,
  ],
  [
    'a request: fewer items',
    (d) => (field(d, 'run.submit.input', 'tasks').maxItems = 50),
    /^run\.submit\.input\.tasks: maxItems 500 became 50$/,
  ],
  [
    'a request: another pattern',
    (d) => (field(d, 'run.get.input', 'runId').pattern = '^run-[0-9]+$'),
    /^run\.get\.input\.runId: pattern/,
  ],
  [
    'a request: a kind of agent is gone',
    (d) => schema(d, 'Agent').oneOf.pop(),
    /^run\.submit\.input\.(defaults|tasks\[\])\.agent: oneOf/,
  ],
  [
    'a request: an unknown field is no longer ignored',
    (d) => (d.components.messageTraits['traced']!.headers.additionalProperties = false),
    /^run\.submit\.input, headers: additionalProperties/,
  ],

  [
    'an answer: a field is gone',
    (d) => {
      const target = schema(d, 'run.submit.output');
      delete target.properties['created'];
      target.required = target.required.filter((name) => name !== 'created');
    },
    /^run\.submit\.output: /,
  ],
  [
    'an answer: an optional field is gone',
    (d) => delete schema(d, 'TaskView').properties['summary'],
    /^task\.get\.output: properties without summary$/,
  ],
  [
    'an answer: a field may be left out',
    (d) => (schema(d, 'task.diff.output').required = ['patch']),
    /^task\.diff\.output: required/,
  ],
  [
    'an answer: a field may be null',
    (d) => (field(d, 'RunView', 'concurrency').type = ['integer', 'null']),
    /^run\.get\.output\.concurrency: type/,
  ],
  [
    'an answer: another type',
    (d) => (field(d, 'task.diff.output', 'truncated').type = 'string'),
    /^task\.diff\.output\.truncated: type/,
  ],
  [
    'an answer: a header is no longer promised',
    (d) => d.components.messageTraits['refused']!.headers.required.pop(),
    /^error, headers: required/,
  ],
  [
    'an event: an enum widens',
    (d) => schema(d, 'RunState').enum.push('paused'),
    /^event\.run-ended\.data\.state: enum/,
  ],
  [
    'an event: a field inside is gone',
    (d) => {
      const data = field(d, 'event.task-turn', 'data', 'calls', '[]');
      delete data.properties['about'];
      data.required = ['name'];
    },
    /^event\.task-turn\.data\.calls\[\]: /,
  ],
  [
    'an event: the envelope loses a field',
    (d) => (schema(d, 'event.run-ended').required = ['id']),
    /^event\.run-ended: required/,
  ],
  [
    'an event: a number without its limit',
    (d) => delete field(d, 'Usage', 'inputTokens').type,
    /^event\.task-\w+\.data\.usage\.inputTokens: type|^transcript/,
  ],
];

describe('breaking changes are found, with their place', () => {
  test.each(breaks)('%s', (_what, plant, where) => {
    const found = breakingChanges(released, changed(plant));
    expect(found).toContainEqual(expect.stringMatching(where));
  });

  test('two breaking changes at once are both reported', () => {
    const found = breakingChanges(
      released,
      changed((d) => {
        field(d, 'TaskRequest', 'merge').enum.pop();
        schema(d, 'TaskRequest').required.push('model');
      }),
    );
    expect(found).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^run\.submit\.input\.tasks\[\]\.merge: enum/),
        expect.stringMatching(/^run\.submit\.input\.tasks\[\]: required/),
      ]),
    );
  });
});

const passes: [what: string, plant: (document: Document) => void][] = [
  [
    'a new operation',
    (d) => (d.operations['task.pause'] = d.operations['task.merge'] as Contract['operations'][string]),
  ],
  [
    'a new error code',
    (d) => (d['x-error-codes']['quota-exceeded'] = { retryable: true, meaning: 'enough for today' }),
  ],
  ['another description', (d) => Object.assign(schema(d, 'TaskView'), { description: 'A task, described better.' })],
  [
    'a request: a new optional field',
    (d) => (schema(d, 'TaskRequest').properties['priority'] = { type: 'integer' } as Schema),
  ],
  ['a request: a required field becomes optional', (d) => (schema(d, 'TaskRequest').required = ['name', 'prompt'])],
  ['a request: an enum widens', (d) => field(d, 'TaskRequest', 'merge').enum.push('train')],
  ['a request: a longer text', (d) => (field(d, 'run.cancel.input', 'reason').maxLength = 600)],
  [
    'a request: a new kind of agent',
    (d) => {
      const kind = structuredClone(schema(d, 'Agent').oneOf[0]) as Schema;
      kind.properties['kind'] = { type: 'string', const: 'command' } as unknown as Schema;
      schema(d, 'Agent').oneOf.push(kind);
    },
  ],
  [
    'an answer: a new field',
    (d) => {
      schema(d, 'TaskView').properties['node'] = { type: 'string' } as Schema;
      schema(d, 'TaskView').required.push('node');
    },
  ],
  ['an answer: an optional field is always there', (d) => schema(d, 'TaskView').required.push('summary')],
  ['an event: an enum narrows', (d) => schema(d, 'RunState').enum.pop()],
  ['an event: a new state of a task', (d) => schema(d, 'TaskState').anyOf[0]?.enum.push('paused')],
  [
    'an event: a new one',
    (d) => {
      const { messages } = d.operations['events'] as { messages: { $ref: string }[] };
      messages.push({ $ref: '#/channels/log/messages/log' });
    },
  ],
];

describe('changes that break no client pass', () => {
  test.each(passes)('%s', (_what, plant) => {
    expect(breakingChanges(released, changed(plant))).toEqual([]);
  });
});

describe('task states that became open after a release', () => {
  const closed = changed((d) => (d.components.schemas['TaskState'] = schema(d, 'TaskState').anyOf[0] as Schema));

  test('opening them breaks no client', () => {
    expect(breakingChanges(closed, released)).toEqual([]);
  });

  const places = expect.arrayContaining([
    expect.stringMatching(/^event\.task-state\.data\.to: /),
    expect.stringMatching(/^task\.get\.output\.state: /),
  ]) as unknown;

  test('another closed state breaks clients of that release', () => {
    const further = changed((d) => schema(d, 'TaskState').anyOf[0]?.enum.push('paused'));
    expect(breakingChanges(closed, further)).toEqual(places);
  });

  test.each([
    ['another type', (d: Document) => (schema(d, 'TaskState').anyOf[1] = { type: 'integer' } as Schema)],
    ['a third member', (d: Document) => schema(d, 'TaskState').anyOf.push({ type: 'null' } as Schema)],
    ['any string', (d: Document) => (d.components.schemas['TaskState'] = { type: 'string' } as Schema)],
  ])('%s in their place breaks', (_what, plant) => {
    expect(breakingChanges(closed, changed(plant))).toEqual(places);
  });

  test('no other enum may be opened', () => {
    const opened = changed((d) => {
      const { enum: known } = schema(d, 'RunState');
      d.components.schemas['RunState'] = { anyOf: [{ enum: known } as Schema, { type: 'string' } as Schema] } as Schema;
    });
    expect(breakingChanges(released, opened)).toContainEqual(expect.stringMatching(/^run\.get\.output\.state: /));
  });
});

test('versions', () => {
  expect(newest([])).toBeNull();
  expect(newest(['0.9.0', '0.10.0', '0.2.11'])).toBe('0.10.0');
  expect(() => newest(['1.0'])).toThrow('expected a version as major.minor.patch, received "1.0"');
  const allowed = [
    ['0.1.0', '0.1.9'],
    ['0.1.0', '0.2.0'],
    ['0.9.0', '1.0.0'],
    ['1.0.0', '1.1.0'],
    ['1.9.0', '2.0.0'],
  ].map(([before = '', after = '']) => isBreakAllowed(before, after));
  expect(allowed).toEqual([false, true, true, false, true]);
});
