/** Items that clients reference by id. Those that this endpoint generated are stored per answer; those of a provider of the same wire format one by one. */
import type { References } from '../../../ingress/http/endpoint.ts';
import { fieldsOf } from '../../../ingress/http/fields.ts';
import type { Item, Kept } from '../../../ingress/http/kept-items.ts';

/** `answerId`: 32 hexadecimal digits. */
export const itemIdOf = (kind: string, answerId: string, index: number): string =>
  `${kind}_coppice_${answerId}_${index}`;

const ours = /^[a-z]+_coppice_([a-f0-9]{32})_\d+$/;
/** Ids that are valid in a key. */
const passed = /^[\w-]{1,200}$/;
const passedKey = (id: string): string => `item-${id}`;

/** Returns the entries to store for items that were passed on, one each, without those whose id can't be a key. */
export const keptPassed = (items: unknown): Kept[] =>
  (Array.isArray(items) ? items : []).map(fieldsOf).flatMap((item) => {
    const { id } = item;
    return typeof id === 'string' && passed.test(id) ? [{ key: passedKey(id), items: [item] }] : [];
  });

/** Returns the keys of the items that the body references, without duplicates. */
export function keysNamed(body: unknown): References {
  const ids = [...new Set(referencesIn(body).map(({ id }) => String(id)))];
  return {
    own: [...new Set(ids.flatMap((id) => ours.exec(id)?.[1] ?? []))],
    passed: ids.filter((id) => passed.test(id) && !ours.test(id)).map(passedKey),
  };
}

const isOwn = ({ id }: Item): boolean => ours.test(String(id));

/** Puts in the items that this endpoint generated; a provider of the same wire format knows the rest by itself. */
export const withOwnItems = (body: unknown, items: readonly Item[]): unknown => withItems(body, items.filter(isOwn));

/** Puts in the other items. */
export const withPassedItems = <Body>(body: Body, items: readonly Item[]): Body =>
  withItems(
    body,
    items.filter((item) => !isOwn(item)),
  );

/**
 * Replaces references in the body by these items. Each item is put in once, however often it is referenced, so the body grows by no more than their size. The items
 * lose their ids, which no vendor knows.
 */
function withItems<Body>(body: Body, items: readonly Item[]): Body {
  const left = new Map(items.map((item) => [item['id'], item]));
  const { input } = fieldsOf(body);
  if (!Array.isArray(input)) return body;
  const known = new Set(left.keys());
  const put = (each: unknown): unknown[] => {
    const { type, id } = fieldsOf(each);
    if (type !== 'item_reference' || !known.has(id)) return [each];
    const item = left.get(id);
    if (item === undefined) return [];
    left.delete(id);
    const { id: _id, ...rest } = item;
    return [rest];
  };
  return { ...body, input: input.flatMap(put) };
}

function referencesIn(body: unknown): Record<string, unknown>[] {
  const { input } = fieldsOf(body);
  return Array.isArray(input) ? input.map(fieldsOf).filter(({ type }) => type === 'item_reference') : [];
}
