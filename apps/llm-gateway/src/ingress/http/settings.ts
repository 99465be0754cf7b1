/** Parsers for model settings that several endpoints share. */
import type { ModelSettings } from '@coppice/contracts';
import type { Untranslatable } from './untranslatable.ts';

/** Removes fields that are null or undefined, since both mean that the field isn't set. */
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

/** Levels above the contract's `high` become `high`. An unknown level is untranslatable. */
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

/** Converts a schema's name to one that the contract allows. */
export const schemaName = (name: string): string => name.replaceAll(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64) || 'answer';
