/** Items that are named by their ids: those that this door told, by the answer that they belong to, and those of a provider of the same wire, one by one. */
import type { References } from '../door.ts';
import { fieldsOf } from '../fields.ts';
import type { Item, Kept } from '../kept-items.ts';

/** `answerId`: 32 hexadecimal digits. */
export const itemIdOf = (kind: string, answerId: string, index: number): string =>
  `${kind}_coppice_${answerId}_${index}`;

const ours = /^[a-z]+_coppice_([a-f0-9]{32})_\d+$/;
/** Fit for a key. */
const passed = /^[\w-]{1,200}$/;
const passedKey = (id: string): string => `item-${id}`;

/** What is kept of items that were passed on, each by itself; nothing of one that can't be named. */
export const keptPassed = (items: unknown): Kept[] =>
  (Array.isArray(items) ? items : []).map(fieldsOf).flatMap((item) => {
    const { id } = item;
    return typeof id === 'string' && passed.test(id) ? [{ key: passedKey(id), items: [item] }] : [];
  });

/** The keys of what this body names, each once. */
export function keysNamed(body: unknown): References {
  const ids = [...new Set(referencesIn(body).map(({ id }) => String(id)))];
  return {
    own: [...new Set(ids.flatMap((id) => ours.exec(id)?.[1] ?? []))],
    passed: ids.filter((id) => passed.test(id) && !ours.test(id)).map(passedKey),
  };
}

const isOwn = ({ id }: Item): boolean => ours.test(String(id));

/** With what this door told: a provider of the same wire knows the rest by itself. */
export const withOwnItems = (body: unknown, items: readonly Item[]): unknown => withItems(body, items.filter(isOwn));

/** With the rest. */
export const withPassedItems = <Body>(body: Body, items: readonly Item[]): Body =>
  withItems(
    body,
    items.filter((item) => !isOwn(item)),
  );

/** The body with these items in the place of their names, each once, as a client may name a call and its result by one: so it grows no larger than they are. They go without their ids, which no vendor knows. */
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
