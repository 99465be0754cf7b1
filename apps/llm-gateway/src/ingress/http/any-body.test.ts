/** Tests that an endpoint accepts any body or rejects it with an error that states the reason. */
import { CoppiceError } from '@coppice/contracts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { messagesEndpoint } from '../../wires/anthropic/serve/endpoint.ts';
import type { Endpoint } from './endpoint.ts';
import { geminiEndpoint } from '../../wires/gemini/serve/endpoint.ts';
import { chatEndpoint } from '../../wires/openai-chat/serve/endpoint.ts';
import { responsesEndpoint } from '../../wires/openai-responses/serve/endpoint.ts';
import { requestParts } from './test-support/answers.ts';

const schema = { type: 'object', properties: { path: { type: 'string' } } };
const format = { type: 'json_schema', json_schema: { name: 'x', schema }, name: 'x', schema };
const bodies = [
  {
    endpoint: chatEndpoint,
    body: {
      model: 'm',
      messages: [
        { role: 'system', content: 'a' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'a' },
            { type: 'image_url', image_url: { url: 'https://a.b/c' } },
          ],
        },
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }],
        },
        { role: 'tool', tool_call_id: 'c', content: 'x' },
      ],
      tools: [{ type: 'function', function: { name: 'f', description: 'd', parameters: schema } }],
      tool_choice: { type: 'function', function: { name: 'f' } },
      response_format: format,
      stream_options: { include_usage: true },
      stop: ['x'],
      reasoning_effort: 'low',
    },
  },
  {
    endpoint: responsesEndpoint,
    body: {
      model: 'm',
      instructions: 'a',
      input: [
        {
          role: 'user',
          content: [
            { type: 'input_text', text: 'a' },
            { type: 'input_image', image_url: 'https://a.b/c' },
          ],
        },
        { type: 'reasoning', id: 'r', summary: [{ type: 'summary_text', text: 'x' }], encrypted_content: 'e' },
        { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' },
        { type: 'function_call_output', call_id: 'c', output: [{ type: 'input_text', text: 'a' }] },
      ],
      tools: [
        { type: 'function', name: 'f', parameters: schema },
        { type: 'custom', name: 'g', format: { type: 'grammar' } },
      ],
      tool_choice: { type: 'function', name: 'f' },
      text: { format },
      reasoning: { effort: 'low' },
    },
  },
  {
    endpoint: messagesEndpoint,
    body: {
      model: 'm',
      max_tokens: 1,
      system: [{ type: 'text', text: 'a' }],
      messages: [
        { role: 'user', content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'aa' } }] },
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'x', signature: 's' },
            { type: 'redacted_thinking', data: 'd' },
            { type: 'tool_use', id: 'c', name: 'f', input: {} },
          ],
        },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'c', content: [{ type: 'text', text: 'a' }] }] },
      ],
      tools: [{ name: 'f', input_schema: schema }],
      tool_choice: { type: 'tool', name: 'f' },
      thinking: { type: 'enabled', budget_tokens: 1 },
      output_config: { effort: 'low', format: { type: 'json_schema', schema } },
    },
  },
  {
    endpoint: geminiEndpoint,
    body: {
      systemInstruction: { parts: [{ text: 'a' }] },
      contents: [
        { role: 'user', parts: [{ text: 'a' }, { inlineData: { mimeType: 'image/png', data: 'aa' } }] },
        { role: 'model', parts: [{ functionCall: { name: 'f', args: {} }, thoughtSignature: 's' }] },
        { role: 'user', parts: [{ functionResponse: { name: 'f', response: { output: 'x' } } }] },
      ],
      tools: [
        {
          functionDeclarations: [{ name: 'f', parameters: { type: 'OBJECT', properties: { a: { type: 'STRING' } } } }],
        },
      ],
      toolConfig: { functionCallingConfig: { mode: 'ANY', allowedFunctionNames: ['f'] } },
      generationConfig: {
        responseMimeType: 'application/json',
        responseSchema: schema,
        thinkingConfig: { thinkingBudget: 1 },
      },
    },
  },
];

const about = requestParts('/v1beta/models/m:generateContent');

type Path = (string | number)[];
const pathsOf = (value: unknown, path: Path = []): Path[] =>
  typeof value === 'object' && value !== null
    ? [path, ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))]
    : [path];

/** Returns a copy of the value with `to` at the path. */
function changed(value: unknown, [key, ...rest]: Path, to: unknown): unknown {
  if (key === undefined) return to;
  const copy = Array.isArray(value) ? [...(value as unknown[])] : { ...(value as object) };
  (copy as Record<string, unknown>)[key] = changed((value as Record<string, unknown>)[key], rest, to);
  return copy;
}

const odd = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    undefined,
    '',
    0,
    -1,
    1e308,
    true,
    [],
    {},
    [null],
    { type: null },
    { text: 1 },
    'data:image/png;base64,',
  ),
  fc.jsonValue(),
);

/** Returns null if the body was accepted. */
function refusalOf(endpoint: Endpoint, sent: unknown): string | null {
  try {
    endpoint.parse(sent, about).writer({ id: 'a', model: 'm', nowMs: 0 }).whole();
    return null;
  } catch (error) {
    if (!(error instanceof CoppiceError)) throw error;
    const { status, body } = endpoint.error(error);
    const text = JSON.stringify(body);
    return `${status} ${text.includes('expected') ? 'expected' : text}`;
  }
}

test.each(bodies)('$endpoint.wire', ({ endpoint, body }) => {
  expect(endpoint.parse(body, about).untranslatable).toEqual([]);
  const places = pathsOf(body);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom(...places), odd), { minLength: 1, maxLength: 3 }), (changes) => {
      let sent: unknown = body;
      for (const [path, to] of changes) {
        if (pathsOf(sent).some((each) => each.join() === path.join())) sent = changed(sent, path, to);
      }
      const refused = refusalOf(endpoint, sent);
      expect([null, '400 expected']).toContain(refused);
    }),
    { numRuns: 1_000 },
  );
});
