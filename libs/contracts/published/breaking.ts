/**
 * Finds the changes that break clients of an earlier version of the contract. Both versions are AsyncAPI documents from
 * document.ts.
 *
 * Coppice must still accept every message that it accepted, and clients must still be able to read what Coppice sends.
 * jsoncompat decides if two schemas are compatible. This file chooses the schemas and the direction of each comparison,
 * and finds the place of a difference.
 */
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { check_compat, initSync } from 'jsoncompat';

type Schema = Record<string, unknown>;
type Reference = { $ref: string };
type Operation = {
  action: 'receive' | 'send';
  channel: Reference;
  messages: Reference[];
  reply?: { messages: Reference[] };
};
type Channel = { address: string | null };
export type Contract = {
  info: { version: string };
  operations: Record<string, Operation>;
  components: { schemas: Record<string, Schema> };
  'x-error-codes': Record<string, unknown>;
};

/**
 * The reader of a message. `coppice` must accept what it accepted before. `publisher` must not receive values that were
 * impossible before.
 */
type Reader = 'coppice' | 'publisher';

/**
 * Enums in messages from Coppice that a release closed and that allow any string now. This change doesn't affect the
 * values that are sent. See docs/decisions/0010-published-contract.md.
 */
const openedEnums = ['TaskState'];

/** @returns one sentence for each breaking change, and none if every client of `released` also works with `current` */
export function breakingChanges(released: Contract, latest: Contract): string[] {
  const current = openedEnums.reduce((contract, name) => withoutOpening(name, released, contract), latest);
  const changes = Object.entries(released.operations).flatMap(([name, before]) => {
    const after = current.operations[name];
    return after === undefined ? [`${name} is gone`] : ofOperation(name, before, after, released, current);
  });
  const codes = Object.keys(released['x-error-codes']).filter((code) => !(code in current['x-error-codes']));
  return [...changes, ...codes.map((code) => `the error code ${code} is gone`)];
}

/**
 * Returns the current contract. If only the released contract closes the enum, the result closes it too. So opening the
 * enum passes, but a changed value of the enum still counts as breaking.
 */
function withoutOpening(name: string, released: Contract, current: Contract): Contract {
  const { schemas } = current.components;
  const [known, other, ...more] = (schemas[name]?.['anyOf'] ?? []) as Schema[];
  // A released contract without a schema of this name has the enum in each field.
  const isOpened = released.components.schemas[name]?.['anyOf'] === undefined && known?.['enum'] !== undefined;
  if (!isOpened || !isDeepStrictEqual(other, { type: 'string' }) || more.length > 0) return current;
  return { ...current, components: { ...current.components, schemas: { ...schemas, [name]: known } } };
}

const did = { send: 'sent this, and now receives it', receive: 'received this, and now sends it' } as const;

function ofOperation(
  name: string,
  before: Operation,
  after: Operation,
  released: Contract,
  current: Contract,
): string[] {
  if (before.action !== after.action) return [`${name}: Coppice ${did[before.action]}`];
  const [address, now] = [channelOf(released, before).address, channelOf(current, after).address];
  const moved = address === now ? [] : [`${name}: the subject ${address} became ${now}`];
  const payloadReader = before.action === 'receive' ? 'coppice' : 'publisher';
  return [
    ...moved,
    ...ofMessages(name, payloadReader, [before.messages, after.messages], released, current),
    ...ofMessages(name, 'publisher', [before.reply?.messages ?? [], after.reply?.messages ?? []], released, current),
  ];
}

const channelOf = (contract: Contract, operation: Operation) => follow(contract, operation.channel) as Channel;

function ofMessages(
  operation: string,
  reader: Reader,
  [before, after]: readonly [Reference[], Reference[]],
  released: Contract,
  current: Contract,
): string[] {
  const [old, now] = [messagesOf(released, before), messagesOf(current, after)];
  return [...old].flatMap(([name, schemas]) => {
    const changed = now.get(name);
    if (changed === undefined) return [`${operation}: the message ${name} is gone`];
    return [
      ...differences(schemas.payload, changed.payload, reader, name),
      ...differences(schemas.headers, changed.headers, reader, `${name}, headers`),
    ];
  });
}

/** Returns payload and headers of messages by name, with all references resolved. */
function messagesOf(
  contract: Contract,
  references: readonly Reference[],
): Map<string, { payload: Schema; headers: Schema }> {
  const whole = references.map(
    (reference) => resolve(contract, reference) as { name: string; payload: Schema; traits?: { headers?: Schema }[] },
  );
  return new Map(whole.map(({ name, payload, traits }) => [name, { payload, headers: traits?.[0]?.headers ?? {} }]));
}

function follow(contract: Contract, { $ref }: Reference): unknown {
  return $ref
    .slice(2)
    .split('/')
    .reduce((node: unknown, key) => (node as Schema)[key], contract);
}

function resolve(contract: Contract, node: unknown): unknown {
  if (Array.isArray(node)) return node.map((item) => resolve(contract, item));
  if (typeof node !== 'object' || node === null) return node;
  if (typeof (node as Reference).$ref === 'string') return resolve(contract, follow(contract, node as Reference));
  // Descriptions don't matter for compatibility, but a field named `description` does. Its value is a schema, not a
  // string.
  const binding = Object.entries(node).filter(([key, value]) => key !== 'description' || typeof value !== 'string');
  return Object.fromEntries(binding.map(([key, value]) => [key, resolve(contract, value)]));
}

/** Returns the innermost places where the schemas differ in a way that breaks the reader. */
function differences(before: Schema, after: Schema, reader: Reader, path: string): string[] {
  if (isCompatible(before, after, reader)) return [];
  const inner: string[] = [];
  let rest = after;
  for (const { place, path: inside, schema } of partsOf(before)) {
    const changed = inside.reduce((node: unknown, key) => (node as Schema | undefined)?.[key], after);
    if (changed === undefined) continue;
    const found = differences(schema, changed as Schema, reader, `${path}${place}`);
    inner.push(...found);
    // The inner change is undone, so that further differences at this level are found.
    if (found.length > 0) rest = replaced(rest, inside, schema);
  }
  return inner.length > 0 && isCompatible(before, rest, reader)
    ? inner
    : [...inner, `${path}: ${describe(before, rest)}`];
}

type Part = { place: string; path: string[]; schema: Schema };

function partsOf(schema: Schema): Part[] {
  const fields = Object.entries((schema['properties'] ?? {}) as Record<string, Schema>);
  const unions = ['oneOf', 'anyOf', 'allOf'].flatMap((keyword) =>
    ((schema[keyword] ?? []) as Schema[]).map((option, index) => ({
      place: '',
      path: [keyword, String(index)],
      schema: option,
    })),
  );
  const values = (['items', 'additionalProperties'] as const).flatMap((keyword) => {
    const inner = schema[keyword];
    return typeof inner === 'object' && inner !== null
      ? [{ place: '[]', path: [keyword], schema: inner as Schema }]
      : [];
  });
  return [
    ...fields.map(([name, inner]) => ({ place: `.${name}`, path: ['properties', name], schema: inner })),
    ...values,
    ...unions,
  ];
}

function replaced(node: Schema, [key = '', ...more]: readonly string[], value: Schema): Schema {
  const copy = (Array.isArray(node) ? [...(node as unknown[])] : { ...node }) as Schema;
  copy[key] = more.length === 0 ? value : replaced(node[key] as Schema, more, value);
  return copy;
}

/**
 * Describes the keywords that differ. For lists and fields, it names the removed and the added members. For another
 * keyword, it names the old and the new value.
 */
function describe(before: Schema, after: Schema): string {
  const keywords = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (keyword) => !isDeepStrictEqual(before[keyword], after[keyword]),
  );
  return keywords.map((keyword) => `${keyword} ${change(before[keyword], after[keyword])}`).join(', ');
}

function change(before: unknown, after: unknown): string {
  const [old, now] = [membersOf(before), membersOf(after)];
  if (old === null || now === null)
    return `${JSON.stringify(before) ?? 'nothing'} became ${JSON.stringify(after) ?? 'nothing'}`;
  const gone = old.filter((member) => !now.includes(member)).map((member) => `without ${member}`);
  const come = now.filter((member) => !old.includes(member)).map((member) => `with ${member}`);
  return [...gone, ...come].join(' ') || 'differ';
}

/** Returns the names of fields or the items of a list, and null for any other value. */
function membersOf(value: unknown): string[] | null {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value.map((item) => JSON.stringify(item));
  return typeof value === 'object' && value !== null ? Object.keys(value) : null;
}

let isReady = false;
/** Cache of comparisons. Messages share schemas, and a comparison of two large schemas takes a second. */
const compared = new Map<string, boolean>();

function isCompatible(before: Schema, after: Schema, reader: Reader): boolean {
  if (isDeepStrictEqual(before, after)) return true;
  const question = [JSON.stringify(before), JSON.stringify(after), reader].join('\n');
  const answer = compared.get(question) ?? ask(JSON.stringify(before), JSON.stringify(after), reader);
  compared.set(question, answer);
  return answer;
}

function ask(before: string, after: string, reader: Reader): boolean {
  if (!isReady) initSync({ module: readFileSync(new URL(import.meta.resolve('jsoncompat/jsoncompat_wasm_bg.wasm'))) });
  isReady = true;
  try {
    return check_compat(before, after, reader === 'coppice' ? 'deserializer' : 'serializer');
  } catch (cause) {
    // A failed comparison must not pass as compatible.
    throw new Error(`schemas that can't be compared: ${String(cause)}`, { cause });
  }
}
