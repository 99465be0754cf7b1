import { createHash } from 'node:crypto';
import type { Route } from '../routing/routes.ts';
import type { ModelRequest } from '../provider/port.ts';

/** Version of the entry format. Increase it whenever the meaning of entries changes. */
const version = 1;

type KeyedRequest = Omit<ModelRequest, 'model'>;

/**
 * Returns a key with a hash of everything that the provider receives. The order of fields doesn't change the hash. The
 * key starts with the tenant in plain text, so that all entries of a tenant can be found.
 */
export function keyOf(tenant: string, { provider, model }: Route, request: KeyedRequest): string {
  const about = { version, tenant, provider: provider.name, model, ...sentTo(provider.wire, request) };
  return `${tenant}.${createHash('sha256').update(canonical(about)).digest('hex')}`;
}

/**
 * Returns the part of the request that the provider receives. If the provider uses the client's wire format, it
 * receives the client's body. Its answer then has raw events, which differ with and without streaming, so the key
 * includes `stream`.
 */
function sentTo(wire: string | null, { messages, tools, settings, stream = true, original }: KeyedRequest): object {
  if (original !== undefined && original.wire === wire) {
    const { model: _model, stream: _stream, ...body } = original.body;
    return { wire, body, headers: original.headers, stream };
  }
  const { cache: _cache, ...said } = settings;
  return { messages, tools, settings: said };
}

/** Returns JSON in which the fields of each object are sorted by name. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_name, each: unknown) => (isObject(each) ? Object.fromEntries(sorted(each)) : each));

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const sorted = (object: object): [string, unknown][] =>
  Object.entries(object).toSorted(([one], [other]) => (one < other ? -1 : 1));
