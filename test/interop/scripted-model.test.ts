/**
 * Tests that the example in docs/scripted-model.md is a valid script, and that its table lists the tools that a model
 * gets.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { agentToolSchemas, sandboxToolSchemas, toolDefinitions, toolLimits } from '@coppice/contracts';
import { expect, test } from 'vitest';
import { parseScript } from '../../apps/llm-gateway/src/provider/scripted/script.ts';

const text = readFileSync(path.resolve(import.meta.dirname, '../../docs/scripted-model.md'), 'utf8');

test('the example is a valid script, and its calls match the schemas of the tools', () => {
  const example = text.split('```yaml\n')[1]?.split('```')[0] ?? '';
  const script = parseScript(example, 'docs/scripted-model.md');
  const schemas = { ...sandboxToolSchemas, ...agentToolSchemas };
  const calls = script.rules.flatMap(({ turns }) => turns.flatMap(({ toolCalls }) => toolCalls ?? []));
  expect(calls.map(({ name }) => name)).toEqual(['read', 'edit', 'finish']);
  for (const { name, arguments: input } of calls)
    expect(schemas[name as keyof typeof schemas].safeParse(input)).toMatchObject({ success: true });
  expect(text).toContain(`up to ${toolLimits.callsPerTurnMax} that`);
});

test('the table lists all tools with their arguments and descriptions', () => {
  const rows = toolDefinitions().map(({ name, description, parameters }) => {
    const { properties = {}, required = [] } = parameters as { properties?: object; required?: string[] };
    const fields = Object.keys(properties).map((field) =>
      required.includes(field) ? `\`${field}\`` : `[\`${field}\`]`,
    );
    return `| \`${name}\` | ${fields.join(', ')} | ${description} |`;
  });
  const table = ['| tool | arguments | what the model gets |', '| --- | --- | --- |', ...rows].join('\n');
  expect(text.slice(text.indexOf('| tool |')).trimEnd()).toBe(table);
});
