/** Parts of a model's settings that more than one door reads. */
import type { ModelSettings } from '@coppice/contracts';
import type { Untranslatable } from './untranslatable.ts';

/** Without what wasn't said: null and undefined are the same on most wires. */
export function said<Fields extends Record<string, unknown>>(
  fields: Fields,
): { [Name in keyof Fields]?: NonNullable<Fields[Name]> } {
  const some: { [Name in keyof Fields]?: NonNullable<Fields[Name]> } = {};
  for (const name in fields) {
    const value = fields[name];
    if (value !== undefined && value !== null) some[name] = value;
  }
  return some;
}

const efforts = ['none', 'minimal', 'low', 'medium', 'high'] as const;

/** How hard to think. What is more than the contract's `high` is that; what is no such word has none in another wire. */
export function effortOf(
  text: string,
  field: string,
  untranslatable: Untranslatable,
): NonNullable<ModelSettings['thinking']> | undefined {
  if (text === 'xhigh' || text === 'max') return { effort: 'high' };
  const effort = efforts.find((each) => each === text);
  if (effort === undefined) untranslatable.add(field, `one of ${efforts.join(', ')}`, text);
  return effort === undefined ? undefined : { effort };
}

/** A schema's name as the contract allows it. */
export const schemaName = (name: string): string => name.replaceAll(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64) || 'answer';
