import { createHash } from 'node:crypto';
import type { Route } from '../routing/routes.ts';
import type { ModelRequest } from '../provider/port.ts';

/** Raise this with every change of what an entry means. */
const version = 1;

type KeyedRequest = Omit<ModelRequest, 'model'>;

/**
 * The key of this model's answer to this tenant's request. It covers everything that the provider gets, whatever the order of fields. The tenant stands before
 * the hash, so that a tenant's entries can be identified.
 */
export function keyOf(tenant: string, { provider, model }: Route, request: KeyedRequest): string {
  const about = { version, tenant, provider: provider.name, model, ...sentTo(provider.wire, request) };
  return `${tenant}.${createHash('sha256').update(canonical(about)).digest('hex')}`;
}

/** What the provider gets: in the client's own wire format, the client's body. The entry then holds the provider's own events, which differ with and without streaming. */
function sentTo(wire: string | null, { messages, tools, settings, stream = true, original }: KeyedRequest): object {
  if (original !== undefined && original.wire === wire) {
    const { model: _model, stream: _stream, ...body } = original.body;
    return { wire, body, headers: original.headers, stream };
  }
  const { cache: _cache, ...said } = settings;
  return { messages, tools, settings: said };
}

/** JSON with the fields of each object sorted by name. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_name, each: unknown) => (isObject(each) ? Object.fromEntries(sorted(each)) : each));

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const sorted = (object: object): [string, unknown][] =>
  Object.entries(object).toSorted(([one], [other]) => (one < other ? -1 : 1));
