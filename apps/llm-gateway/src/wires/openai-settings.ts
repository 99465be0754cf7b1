/**
 * Settings that are the same in OpenAI's two wire formats. Only the objects around a function's name and around a
 * schema differ.
 */
import type { ModelSettings } from '@coppice/contracts';
import { said, schemaName } from '../ingress/http/settings.ts';
import type { Untranslatable } from '../ingress/http/untranslatable.ts';

type Format = NonNullable<ModelSettings['responseFormat']>;
type Schema = Omit<Extract<Format, { type: 'json-schema' }>, 'type'>;

/** @param named returns the setting that requires a call of the named tool */
export function toolSettings(
  { toolChoice, parallelToolCalls }: ModelSettings,
  named: (name: string) => object,
): { tool_choice?: object | string; parallel_tool_calls?: boolean } {
  const choice = typeof toolChoice === 'object' ? named(toolChoice.tool) : toolChoice;
  return said({ tool_choice: choice, parallel_tool_calls: parallelToolCalls });
}

/** @param ofSchema returns the fields for a schema in the wire format */
export function formatFields(format: Format, ofSchema: (schema: Schema) => object): object {
  if (format.type === 'text') return { type: 'text' };
  if (format.type === 'json') return { type: 'json_object' };
  const { type: _type, ...schema } = format;
  return { type: 'json_schema', ...ofSchema(schema) };
}

/** @param named returns the name of the function that the choice requires; undefined for any other choice */
export function toolChoiceOf<Choice extends object>(
  choice: string | Choice | null | undefined,
  named: (choice: Choice) => unknown,
  untranslatable: Untranslatable,
): ModelSettings['toolChoice'] | undefined {
  if (choice === undefined || choice === null) return undefined;
  if (choice === 'auto' || choice === 'none' || choice === 'required') return choice;
  const name = typeof choice === 'string' ? undefined : named(choice);
  if (typeof name === 'string') return { tool: name };
  untranslatable.add('tool_choice', 'auto, none, required, or a function', choice);
  return undefined;
}

type SchemaFields = {
  name?: string | null | undefined;
  schema?: Record<string, unknown> | null | undefined;
  description?: string | null | undefined;
  strict?: boolean | null | undefined;
};

/** @param schemaOf returns the format's schema with its name; undefined if there is none */
export function responseFormatOf<RequestedFormat extends { type: string }>(
  format: RequestedFormat | null | undefined,
  schemaOf: (format: RequestedFormat) => SchemaFields | undefined,
  complain: { field: string; untranslatable: Untranslatable },
): Format | undefined {
  if (format === undefined || format === null) return undefined;
  if (format.type === 'text') return { type: 'text' };
  if (format.type === 'json_object') return { type: 'json' };
  const fields = format.type === 'json_schema' ? schemaOf(format) : undefined;
  if (fields !== undefined) {
    const { name, schema, description, strict } = fields;
    const described = said({ description, strict });
    return { type: 'json-schema', name: schemaName(name ?? 'answer'), schema: schema ?? {}, ...described };
  }
  complain.untranslatable.add(complain.field, 'text, json_object or json_schema', format);
  return undefined;
}
