/**
 * The stored items that clients reference by id. Items that this endpoint generated have one entry for each answer.
 * Items that came from a provider of the same wire format have one entry each.
 */
import type { References } from '../../../ingress/http/endpoint.ts';
import { fieldsOf } from '../../../ingress/http/fields.ts';
import type { Item, Kept } from '../../../ingress/http/kept-items.ts';

/** Returns the id of an item that this endpoint generated. `answerId` has 32 hexadecimal digits. */
export const itemIdOf = (kind: string, answerId: string, index: number): string =>
  `${kind}_coppice_${answerId}_${index}`;

const ours = /^[a-z]+_coppice_([a-f0-9]{32})_\d+$/;
/** Ids that are valid in a storage key. */
const passed = /^[\w-]{1,200}$/;
const passedKey = (id: string): string => `item-${id}`;

/** Returns an entry to store for each item that a provider sent. Leaves out items whose id can't be a key. */
export const keptPassed = (items: unknown): Kept[] =>
  (Array.isArray(items) ? items : []).map(fieldsOf).flatMap((item) => {
    const { id } = item;
    return typeof id === 'string' && passed.test(id) ? [{ key: passedKey(id), items: [item] }] : [];
  });

/** Returns the storage keys of the items that the body references. */
export function keysNamed(body: unknown): References {
  const ids = [...new Set(referencesIn(body).map(({ id }) => String(id)))];
  return {
    own: [...new Set(ids.flatMap((id) => ours.exec(id)?.[1] ?? []))],
    passed: ids.filter((id) => passed.test(id) && !ours.test(id)).map(passedKey),
  };
}

const isOwn = ({ id }: Item): boolean => ours.test(String(id));

/**
 * Replaces references to items that this endpoint generated. A provider of the same wire format resolves the other
 * references itself.
 */
export const withOwnItems = (body: unknown, items: readonly Item[]): unknown => withItems(body, items.filter(isOwn));

/** Replaces references to items of a provider of the same wire format. */
export const withPassedItems = <Body>(body: Body, items: readonly Item[]): Body =>
  withItems(
    body,
    items.filter((item) => !isOwn(item)),
  );

/**
 * Replaces references in the body by these items. Only the first reference to an item is replaced, and repeated
 * references are removed. So the body grows by at most the items' size. The items lose their ids, since no vendor knows
 * them.
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
