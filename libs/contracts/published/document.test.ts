/**
 * Checks that the document is complete and valid AsyncAPI. Also checks that its schemas accept exactly what the
 * services accept.
 */
import { schemas as asyncApiSchemas } from '@asyncapi/specs';
import { Ajv } from 'ajv';
import type { ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';
import { errorCodes } from '@coppice/contracts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asyncApiDocument, standaloneSchemas } from './document.ts';
import { publishedMessages } from './messages.ts';

type Node = Record<string, unknown>;
type Described = Record<
  string,
  { summary?: string; description?: string; examples?: { headers?: unknown }[]; traits?: { $ref: string }[] }
>;

const document = asyncApiDocument('1.2.3');
const components = document['components'] as Record<string, Described>;

function validatorOfAsyncApi(): ValidateFunction {
  // The AsyncAPI schema contains a copy of the draft 7 meta-schema.
  const ajv = new Ajv({ strict: false, meta: false, validateSchema: false });
  addFormats.default(ajv);
  return ajv.compile(asyncApiSchemas['3.0.0'] as object);
}

describe('the document', () => {
  const isAsyncApi = validatorOfAsyncApi();

  test('is valid AsyncAPI 3 by the official schema', () => {
    isAsyncApi(document);
    expect(isAsyncApi.errors ?? []).toEqual([]);
  });

  test.each([
    ['an action that there is none of', 'operations/run.submit/action', 'answer'],
    ['a channel without a subject', 'channels/events/address', 7],
    ['no title', 'info/title', undefined],
    ['a schema that is none', 'components/schemas/Usage/type', 'number of tokens'],
  ])('with %s is refused', (_what, path, value) => {
    const planted = structuredClone(document);
    const keys = path.split('/');
    const parent = keys.slice(0, -1).reduce((node: Node, key) => node[key] as Node, planted);
    parent[keys.at(-1) ?? ''] = value;
    expect(isAsyncApi(JSON.parse(JSON.stringify(planted)))).toBe(false);
  });

  test('contains no dangling reference', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path = '']) => path);
    expect(references.length).toBeGreaterThan(100);
    const lost = references.filter(
      (path) =>
        path.split('/').reduce((node: unknown, key) => (node as Node | undefined)?.[key], document) === undefined,
    );
    expect(lost).toEqual([]);
  });

  test('describes every operation, message, field, parameter, header and error code', () => {
    const long = expect.stringMatching(/^.{8,}$/);
    for (const operation of Object.values(document['operations'] as Described)) expect(operation.summary).toEqual(long);
    for (const message of Object.values(components['messages'] ?? {})) expect(message.summary).toEqual(long);
    for (const parameter of Object.values(components['parameters'] ?? {})) expect(parameter.description).toEqual(long);
    const traits = Object.values(components['messageTraits'] ?? {}) as unknown as {
      headers: { properties: Described };
    }[];
    for (const { headers } of traits)
      for (const header of Object.values(headers.properties)) expect(header.description).toEqual(long);
    const schemas = Object.entries((components['schemas'] ?? {}) as unknown as Record<string, Node>);
    expect(schemas.flatMap(([name, schema]) => undescribed(schema, name))).toEqual([]);
    expect(document['x-error-codes']).toEqual(errorCodes);
    for (const { meaning } of Object.values(errorCodes)) expect(meaning).toEqual(long);
  });
});

/**
 * Returns the paths of fields that lack a description. Constants need none, and a reference has the description of its
 * target.
 */
function undescribed(schema: Node, path: string): string[] {
  const fields = Object.entries((schema['properties'] ?? {}) as Record<string, Node>);
  const silent = fields.filter(([, field]) => !['description', '$ref', 'const'].some((keyword) => keyword in field));
  const options = ['anyOf', 'oneOf', 'allOf'].flatMap((keyword) => (schema[keyword] ?? []) as Node[]);
  const items = schema['items'] === undefined ? [] : [schema['items'] as Node];
  return [
    ...silent.map(([field]) => `${path}.${field}`),
    ...fields.flatMap(([field, inner]) => undescribed(inner, `${path}.${field}`)),
    ...[...items, ...options].flatMap((inner) => undescribed(inner, path)),
  ];
}

// Returns false for issues that the published schemas don't express. JSON Schema can't express lengths in bytes and
// ranges of durations. The pattern of model names is left out on purpose. The schemas must reject everything else that
// zod rejects.
const sayable = (issue: object): boolean => {
  const { code, message, params } = issue as { code?: string; message?: string; params?: { keyword?: string } };
  return (
    code !== 'custom' ||
    params?.keyword !== undefined ||
    !/^(at most \d+ bytes|a duration between 1s and 24h|provider\/model, or an alias)$/.test(message ?? '')
  );
};

/** Replaces each issue of a union with the issues of its members. */
const flat = (issues: readonly object[]): object[] =>
  issues.flatMap((issue) => {
    const { errors = [] } = issue as { errors?: object[][] };
    return errors.length === 0 ? [issue] : errors.flatMap(flat);
  });

const ajv = new Ajv({ strict: true, allowUnionTypes: true });
const validators = Object.fromEntries(
  Object.entries(standaloneSchemas()).map(([name, schema]) => [name, ajv.compile(schema)]),
);

describe.each(publishedMessages.map((message) => [message.name, message] as const))('%s', (name, message) => {
  const accepts = validators[name] as ValidateFunction;

  test('its examples fit its schema', () => {
    expect(message.examples.length).toBeGreaterThan(0);
    for (const { payload } of message.examples) {
      expect(message.schema.safeParse(payload).error).toBeUndefined();
      accepts(payload);
      expect(accepts.errors).toBeNull();
    }
  });

  test('the headers of its examples fit their schema', () => {
    const trait = components['messageTraits']?.[message.headers ?? ''] as { headers?: object } | undefined;
    const acceptsHeaders = ajv.compile(trait?.headers ?? {});
    for (const { headers } of message.examples)
      expect([acceptsHeaders(headers ?? {}), acceptsHeaders.errors]).toEqual([true, null]);
  });

  const expectSameOf = (value: unknown) => {
    const { error } = message.schema.safeParse(value);
    const isAccepted = accepts(value);
    const refusals = flat(error?.issues ?? []);
    if (error === undefined) expect([isAccepted, accepts.errors]).toEqual([true, null]);
    else if (refusals.some(sayable)) expect({ value, isAccepted, refusals }).toMatchObject({ isAccepted: false });
  };

  test('accepts exactly what the service accepts', () => {
    for (const { payload } of message.examples) {
      for (const changed of changedOnce(payload)) expectSameOf(changed);
    }
  });

  test('also with several random changes', () => {
    const values = fc.constantFrom(...message.examples).chain(({ payload }) => changedAtRandom(payload));
    fc.assert(
      fc.property(values, (value) => expectSameOf(value)),
      { numRuns: 200 },
    );
  });
});

/** Values at and beyond the limits of fields. */
const numbers = [0, -1, 1, 1.5, 64, 65, 500, 501, 999, 1_000, 1_001, 2 ** 53];
const paths = ['.', '..', 'a/../b', './a', '/a', 'a//b', 'a/', 'a\\b', '.../a', '.git/x', 'a/.GIT', 'a.git', '.gitx'];
const branches = ['-x', 'a..b', 'a@{b', 'x.lock', 'x.lock/y', 'a/.b', 'a[b', 'main.', 'a b', 'a~1'];
const words = ['', ' ', '\u2028', '\ufeff', 'a\nb', '\0', '\u0085', 'acme', 'Acme', 'a/b', 'none', 'full', 'auto'];
const ids = ['r4cjp3ia4524l22n3', 'r4cjp3ia4524l22n1', '10m', '0s', '25h', '1'];
const lengths = [20, 40, 63, 200, 255, 500, 512, 2_000].flatMap((length) => [length, length + 1]);
const long = lengths.flatMap((length) => ['a', '🌳', 'é'].map((text) => text.repeat(length)));
const borders: unknown[] = [null, true, false, {}, [], ...numbers, ...paths, ...branches, ...words, ...ids, ...long];
const keys = ['colour', 'kind', 'agent', 'limits', 'verify', 'reason', 'error'];

type Change = { place: number; what: 'replace' | 'remove' | 'add'; by: unknown; key: string };

function* changedOnce(value: unknown): Generator {
  for (let place = 0; place <= placesOf(value).length; place++) {
    const at = (what: Change['what'], by: unknown, key = '') =>
      change(structuredClone(value), { place, what, by, key });
    yield at('remove', null);
    for (const by of borders) yield at('replace', by);
    for (const key of keys) yield at('add', 'acme', key);
  }
}

const changedAtRandom = (value: unknown): fc.Arbitrary<unknown> =>
  fc
    .array(
      fc.record({
        place: fc.nat(),
        what: fc.constantFrom('replace', 'remove', 'add'),
        by: fc.oneof(fc.constantFrom(...borders), fc.jsonValue({ maxDepth: 2 })),
        key: fc.constantFrom(...keys),
      }),
      { minLength: 1, maxLength: 3 },
    )
    .map((changes) => changes.reduce(change, structuredClone(value)));

function placesOf(node: unknown): { parent: Node; key: string }[] {
  if (typeof node !== 'object' || node === null) return [];
  return Object.entries(node).flatMap(([key, inner]) => [{ parent: node as Node, key }, ...placesOf(inner)]);
}

/** Applies a change at one of the value's numbered places. The number after the last place means the whole value. */
function change(root: unknown, { place, what, by, key }: Change): unknown {
  const places = placesOf(root);
  const found = places[place % (places.length + 1)];
  if (found === undefined) return what === 'replace' ? by : root;
  const { parent } = found;
  if (what === 'replace') parent[found.key] = by;
  else if (what === 'add' && !Array.isArray(parent)) parent[key] = by;
  else if (Array.isArray(parent)) parent.splice(Number(found.key), 1);
  else delete parent[found.key];
  return root;
}
