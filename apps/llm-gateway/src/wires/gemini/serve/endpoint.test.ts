import { CoppiceError } from '@coppice/contracts';
import { describe, expect, test } from 'vitest';
import {
  requestParts,
  eventsOf,
  richAnswer,
  streamOf,
  textAnswer,
  wholeOf,
} from '../../../ingress/http/test-support/answers.ts';
import { geminiEndpoint } from './endpoint.ts';

const hello = { contents: [{ role: 'user', parts: [{ text: 'hello' }] }] };
const parse = (body: object, verb = 'generateContent', query = '') =>
  geminiEndpoint.parse(body, requestParts(`/v1beta/models/acme/one:${verb}`, query));

describe('a request', () => {
  test('is parsed with its contents, tools and settings, in either spelling of names', () => {
    const { model, request, untranslatable } = parse({
      system_instruction: { parts: [{ text: 'Be brief.' }] },
      contents: [
        { role: 'user', parts: [{ text: 'See' }, { inline_data: { mime_type: 'image/png', data: 'iVBORw0KGgo=' } }] },
        {
          role: 'model',
          parts: [
            { text: 'hm', thought: true },
            { functionCall: { name: 'read', args: { file_name: 'a' } }, thoughtSignature: 'c2ln' },
            { functionCall: { name: 'read', args: {} } },
          ],
        },
        {
          role: 'user',
          parts: [
            { functionResponse: { name: 'read', response: { output: 'one' } } },
            { functionResponse: { name: 'read', response: { error: 'two' } } },
          ],
        },
      ],
      tools: [
        {
          functionDeclarations: [
            {
              name: 'read',
              description: 'Reads.',
              parameters: {
                type: 'OBJECT',
                properties: { file_name: { type: 'STRING', nullable: true }, items: { type: 'ARRAY', minItems: '1' } },
              },
            },
          ],
        },
        { googleSearch: {} },
      ],
      toolConfig: { functionCallingConfig: { mode: 'ANY', allowedFunctionNames: ['read'] } },
      generationConfig: { maxOutputTokens: 100, topK: 40, thinkingConfig: { thinkingBudget: 0 }, candidateCount: 1 },
    });
    expect({ model, untranslatable }).toEqual({ model: 'acme/one', untranslatable: [] });
    const [first, second] = ['000000001', '000000002'];
    expect(request.messages).toEqual([
      { role: 'system', content: [{ type: 'text', text: 'Be brief.' }] },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'See' },
          { type: 'image', image: { mediaType: 'image/png', base64: 'iVBORw0KGgo=' } },
        ],
      },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', text: 'hm', redacted: false },
          {
            type: 'tool-call',
            id: first,
            name: 'read',
            arguments: '{"file_name":"a"}',
            signature: { wire: 'gemini', value: 'c2ln' },
          },
          { type: 'tool-call', id: second, name: 'read', arguments: '{}' },
        ],
      },
      {
        role: 'tool',
        content: [{ type: 'tool-result', callId: first, name: 'read', content: 'one', isError: false }],
      },
      {
        role: 'tool',
        content: [{ type: 'tool-result', callId: second, name: 'read', content: 'two', isError: true }],
      },
    ]);
    expect(request.tools).toEqual([
      {
        name: 'read',
        description: 'Reads.',
        parameters: {
          type: 'object',
          properties: { file_name: { type: ['string', 'null'] }, items: { type: 'array', minItems: 1 } },
        },
      },
    ]);
    expect(request.settings).toEqual({
      maxOutputTokens: 100,
      topK: 40,
      toolChoice: { tool: 'read' },
      thinking: { budgetTokens: 0 },
    });
  });

  test('has images from a function in its result', () => {
    const png = { mimeType: 'image/png', data: 'iVBORw0KGgo=' };
    const response = { name: 'look', response: { output: 'seen' }, parts: [{ inlineData: png }] };
    const read = (parts: object[]) =>
      parse({ contents: [{ role: 'user', parts: [{ functionResponse: { ...response, parts } }] }] });
    const { request, untranslatable } = read([{ inlineData: png }]);
    expect(untranslatable).toEqual([]);
    expect(request.messages[0]?.content).toMatchObject([
      { type: 'tool-result', name: 'look', content: 'seen', images: [{ mediaType: 'image/png' }] },
    ]);
    const sound = read([{ inlineData: { mimeType: 'audio/wav', data: 'UklGRg==' } }]);
    expect(sound.untranslatable.map(({ field }) => field)).toEqual(['contents[0].parts[0]']);
  });

  test.each([
    { responseModalities: ['TEXT', 'IMAGE'] },
    { responseLogprobs: true },
    { responseMimeType: 'text/x.enum' },
  ])('has fields reported that change the answer and that only this wire format knows: %j', (generationConfig) => {
    const contents = [{ role: 'user', parts: [{ text: 'hello' }] }];
    const fields = parse({ contents, generationConfig }).untranslatable.map(({ field }) => field);
    expect(fields).toEqual([`generationConfig.${Object.keys(generationConfig)[0]}`]);
    const usual = { responseModalities: ['TEXT'], responseLogprobs: false, responseMimeType: 'text/plain' };
    expect(parse({ contents, generationConfig: usual }).untranslatable).toEqual([]);
  });

  test("that is invalid is rejected in Google's form, and the error names the field", () => {
    let error: unknown;
    try {
      parse({ contents: [{ role: 'user', parts: 'hello' }] });
    } catch (thrown) {
      error = thrown;
    }
    const { status, body } = geminiEndpoint.error(error as CoppiceError);
    expect(status).toBe(400);
    expect(body).toMatchObject({ error: { code: 400, status: 'INVALID_ARGUMENT' } });
    expect(JSON.stringify(body)).toContain('contents');
  });
});

test('a stream has pieces of text, and whole tool calls at its end', () => {
  const events = eventsOf(parse(hello, 'streamGenerateContent', 'alt=sse'), richAnswer);
  const parts = events.flatMap(
    (event) => (event as { candidates: { content: { parts: object[] } }[] }).candidates[0]?.content.parts ?? [],
  );
  expect(parts).toEqual([
    { text: 'Let me ', thought: true },
    { text: 'see.', thought: true, thoughtSignature: 'c2ln' },
    { text: 'I ' },
    { text: 'look.' },
    { functionCall: { id: 'c0', name: 'read', args: { path: 'a.txt' } } },
    { functionCall: { id: 'c1', name: 'list', args: {} } },
  ]);
  expect(events.at(-1)).toMatchObject({
    candidates: [{ finishReason: 'STOP' }],
    usageMetadata: {
      promptTokenCount: 100,
      candidatesTokenCount: 12,
      thoughtsTokenCount: 8,
      cachedContentTokenCount: 60,
      totalTokenCount: 120,
    },
    modelVersion: 'one-2026',
  });
});

test('without alt=sse a stream is an array', () => {
  const text = streamOf(parse(hello, 'streamGenerateContent'), textAnswer('hi'));
  expect(JSON.parse(text)).toMatchObject([
    { candidates: [{ content: { parts: [{ text: 'hi' }] } }] },
    { candidates: [{ finishReason: 'STOP' }] },
  ]);
});

test("another wire format's signature is restored when it is sent back", () => {
  const signature = { wire: 'anthropic', value: 'own' };
  const whole = wholeOf(parse(hello), [
    { type: 'thinking-delta', block: 0, text: 'hm', signature },
    { type: 'response-end', finishReason: 'stop' },
  ]) as { candidates: { content: object }[] };
  const { request } = parse({ contents: [whole.candidates[0]?.content] });
  expect(request.messages).toEqual([
    { role: 'assistant', content: [{ type: 'thinking', text: 'hm', redacted: false, signature }] },
  ]);
});

test("errors have Google's form and status", () => {
  const error = new CoppiceError('provider-limited', 'slow down', { details: { retryAfterMs: 1_500 } });
  expect(geminiEndpoint.error(error)).toMatchObject({
    status: 429,
    body: {
      error: {
        code: 429,
        status: 'RESOURCE_EXHAUSTED',
        message: 'slow down',
        details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '1.5s' }],
      },
    },
  });
});

test.each([{ generationConfig: { candidateCount: 2 } }, { generation_config: { candidate_count: 2 } }])(
  'more than one answer is refused for every provider: %j',
  (more) => {
    expect(() => parse({ ...hello, ...more })).toThrow('generationConfig.candidateCount: expected 1, received 2');
  },
);

test.each([
  [{ generationConfig: { maxOutputTokens: 60_000 }, generation_config: { maxOutputTokens: 1 } }, 'generationConfig'],
  [{ generation_config: { maxOutputTokens: 60_000, max_output_tokens: 1 } }, 'generationConfig.maxOutputTokens'],
  [{ contents: [{ parts: [{ inlineData: {}, inline_data: {} }] }] }, 'contents[0].parts[0].inlineData'],
])('two spellings of one field are rejected, since the vendor may use the other one: %j', (more, field) => {
  expect(() => parse({ ...hello, ...more })).toThrow(`the request: ${field}: expected one spelling, received `);
});

test('an endless name is not repeated completely', () => {
  const [camel, snake] = [`a${'B'.repeat(100_000)}`, `a${'_b'.repeat(100_000)}`];
  expect(() => parse({ ...hello, [camel]: 1, [snake]: 1 })).toThrow(/^.{0,500}$/s);
});

test("names inside of the client's own data stay unchanged", () => {
  const args = { file_name: 'a', fileName: 'b' };
  const { request } = parse({ contents: [{ role: 'model', parts: [{ functionCall: { name: 'read', args } }] }] });
  expect(request.messages[0]?.content).toMatchObject([{ arguments: JSON.stringify(args) }]);
});
