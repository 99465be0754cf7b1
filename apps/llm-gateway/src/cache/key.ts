import { createHash } from 'node:crypto';
import type { Route } from '../routing/routes.ts';
import type { ModelRequest } from '../provider/port.ts';

/** Version of the format. Increase it when the meaning of entries changes. */
const version = 1;

type KeyedRequest = Omit<ModelRequest, 'model'>;

/**
 * Returns the key of this model's answer to this tenant's request. The hash covers everything that the provider
 * receives, and ignores the order of fields. The tenant is in plain text, so that its entries can be found.
 */
export function keyOf(tenant: string, { provider, model }: Route, request: KeyedRequest): string {
  const about = { version, tenant, provider: provider.name, model, ...sentTo(provider.wire, request) };
  return `${tenant}.${createHash('sha256').update(canonical(about)).digest('hex')}`;
}

/**
 * Returns what the provider receives. A provider of the client's wire format receives the client's body, and its answer
 * is stored as raw events. These differ with and without streaming, so `stream` is a part of the key.
 */
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
