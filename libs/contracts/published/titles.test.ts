/** Checks that each shape in the schemas has one title, which generators use as the name of a type. */
import { expect, test } from 'vitest';
import { asyncApiDocument, standaloneSchemas } from './document.ts';

type Node = Record<string, unknown>;

function* schemasIn(schema: unknown, path: string): Generator<{ node: Node; path: string }> {
  if (typeof schema !== 'object' || schema === null) return;
  if (!Array.isArray(schema)) yield { node: schema as Node, path };
  for (const [key, inner] of Object.entries(schema)) {
    if (!['default', 'examples', 'enum', 'const'].includes(key)) yield* schemasIn(inner, `${path}/${key}`);
  }
}

const shapes = Object.entries(standaloneSchemas()).flatMap(([name, schema]) => [...schemasIn(schema, name)]);
const isShape = ({ node }: { node: Node }): boolean =>
  (typeof node['properties'] === 'object' && node['type'] === 'object') || Array.isArray(node['enum']);

test('each object and each enum has a title that is a valid type name', () => {
  const found = shapes.filter(isShape);
  expect(found.length).toBeGreaterThan(200);
  expect(
    found.filter(({ node }) => !/^[A-Z][A-Za-z0-9]*$/.test(String(node['title']))).map(({ path }) => path),
  ).toEqual([]);
});

test('no two shapes have the same title', () => {
  const byTitle = new Map<string, Set<string>>();
  for (const { node } of shapes.filter(isShape)) {
    const { $schema: _dialect, definitions: _definitions, description: _description, ...shape } = node;
    const title = String(node['title']);
    byTitle.set(title, (byTitle.get(title) ?? new Set()).add(JSON.stringify(shape)));
  }
  expect([...byTitle].filter(([, of]) => of.size > 1).map(([title]) => title)).toEqual([]);
});

const definitionsOf = (name: string): string[] => Object.keys(standaloneSchemas()[name]?.['definitions'] ?? {});

test('a shape that messages share is one definition', () => {
  expect(definitionsOf('task.get.output')).toEqual(['CoppiceError', 'ModelLimitsView', 'TaskState', 'Usage']);
  const shared = ['Agent', 'ModelLimits', 'Network', 'TaskDefaults', 'TaskRequest'];
  expect(definitionsOf('run.submit.input')).toEqual(expect.arrayContaining(shared));
});

test('the description of an optional field states that null is not allowed, unless it is', () => {
  const { schemas } = asyncApiDocument('1.2.3')['components'] as { schemas: Record<string, Node> };
  const fields = (schemas['TaskView'] ?? {})['properties'] as Record<string, Node>;
  expect(fields['summary']).toMatchObject({
    type: ['string', 'null'],
    description: "The agent's summary of its work.",
  });
  const never = expect.stringMatching(/ May be left out; never null\.$/) as unknown;
  expect(fields['agent']).toMatchObject({ description: never });
});
