import { createHash } from 'node:crypto';
import type { Route } from '../exchange/routes.ts';
import type { ModelRequest } from '../provider/port.ts';

/** Raised with whatever changes what an entry means. */
const version = 1;

type Asked = Omit<ModelRequest, 'model'>;

/**
 * Names the answer of this model to this request of this tenant, and no other: all that the provider is sent goes into it, whatever the order of its fields. The tenant stands before
 * the hash, so that a tenant's entries can be told apart.
 */
export function keyOf(tenant: string, { provider, model }: Route, request: Asked): string {
  const about = { version, tenant, provider: provider.name, model, ...sentTo(provider.wire, request) };
  return `${tenant}.${createHash('sha256').update(canonical(about)).digest('hex')}`;
}

/** A provider of the client's own wire is sent what the client wrote. What is kept then are its own events, and those are others where it streams. */
function sentTo(wire: string | null, { messages, tools, settings, stream = true, original }: Asked): object {
  if (original !== undefined && original.wire === wire) {
    const { model: _model, stream: _stream, ...body } = original.body;
    return { wire, body, headers: original.headers, stream };
  }
  const { cache: _cache, ...said } = settings;
  return { messages, tools, settings: said };
}

/** JSON, the fields of each object in the order of their names. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_name, each: unknown) => (isObject(each) ? Object.fromEntries(sorted(each)) : each));

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const sorted = (object: object): [string, unknown][] =>
  Object.entries(object).toSorted(([one], [other]) => (one < other ? -1 : 1));
