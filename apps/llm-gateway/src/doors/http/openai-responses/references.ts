/** Items that are named by their ids: those that this door told, by the answer that they belong to. */
import { fieldsOf } from '../fields.ts';
import type { Item } from '../kept-items.ts';

/** `answerId`: 32 hexadecimal digits. */
export const itemIdOf = (kind: string, answerId: string, index: number): string =>
  `${kind}_coppice_${answerId}_${index}`;

const ours = /^[a-z]+_coppice_([a-f0-9]{32})_\d+$/;

/** The answers whose items this body names, each once. */
export const answersNamed = (body: unknown): string[] => [
  ...new Set(
    referencesIn(body).flatMap(({ id }) => {
      const [, answerId] = ours.exec(String(id)) ?? [];
      return answerId === undefined ? [] : [answerId];
    }),
  ),
];

/** The body with these items in the place of their names, each once, so that it grows no larger than they are. They go without their ids, which no vendor knows. */
export function withItems(body: unknown, items: readonly Item[]): unknown {
  const left = new Map(items.map((item) => [item['id'], item]));
  const { input } = fieldsOf(body);
  if (!Array.isArray(input)) return body;
  const put = (each: unknown): unknown => {
    const { type, id } = fieldsOf(each);
    const item = type === 'item_reference' ? left.get(id) : undefined;
    if (item === undefined) return each;
    left.delete(id);
    const { id: _id, ...rest } = item;
    return rest;
  };
  return { ...fieldsOf(body), input: input.map(put) };
}

function referencesIn(body: unknown): Record<string, unknown>[] {
  const { input } = fieldsOf(body);
  return Array.isArray(input) ? input.map(fieldsOf).filter(({ type }) => type === 'item_reference') : [];
}
