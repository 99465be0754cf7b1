import type { ModelSettings } from '@coppice/contracts';
import { expect, test } from 'vitest';
import type { ModelRequest, ProviderMessage } from '../../provider/port.ts';
import { requestBody } from './request.ts';
import { gemini } from './wire.ts';

const parameters = { type: 'object', properties: { path: { const: 'x' } }, additionalProperties: false };
const tools = [{ name: 'list', description: 'Lists.', parameters }];
const text = (value: string) => ({ type: 'text' as const, text: value });
const call = (id: string, name: string, value: string) => ({ type: 'tool-call' as const, id, name, arguments: value });
const result = (callId: string, name: string, content: string, isError = false) => ({
  type: 'tool-result' as const,
  callId,
  name,
  content,
  isError,
});
const signed = (value: string, wire = 'gemini') => ({ signature: { wire, value } });
const bodyOf = (messages: ProviderMessage[], rest: Partial<ModelRequest> = {}) =>
  requestBody({ model: 'gemini-2.5-flash', messages, tools: [], settings: {}, ...rest }) as Record<string, unknown>;
const configOf = (settings: ModelSettings, model = 'gemini-2.5-flash') =>
  bodyOf([], { settings, model })['generationConfig'];

test('a request has only the fields that were set, and schemas are sent as JSON Schema', () => {
  expect(bodyOf([{ role: 'user', content: [text('a')] }])).toEqual({
    contents: [{ role: 'user', parts: [{ text: 'a' }] }],
  });
  expect(bodyOf([], { tools })).toEqual({
    contents: [],
    tools: [{ functionDeclarations: [{ name: 'list', description: 'Lists.', parametersJsonSchema: parameters }] }],
  });
});

test("in a conversation, system messages are separate, and all results of an answer's calls are in one content", () => {
  const image = { mediaType: 'image/png', base64: 'AAAA' };
  const { systemInstruction, contents } = bodyOf([
    { role: 'system', content: [text('You code.')] },
    {
      role: 'user',
      content: [text('Fix it.'), { type: 'image', image }, { type: 'image', image: { url: 'https://h/i' } }],
    },
    { role: 'assistant', content: [text('I look.'), call('a', 'run', '{"c":1}'), call('b', '2list', '')] },
    { role: 'tool', content: [{ ...result('a', 'run', 'x.txt'), images: [image] }] },
    { role: 'tool', content: [result('b', '2list', 'no such folder', true)] },
    { role: 'assistant', content: [] },
    { role: 'system', content: [text('Time is short.')] },
    { role: 'user', content: [text('Go on.')] },
  ]);
  const picture = { inlineData: { mimeType: 'image/png', data: 'AAAA' } };
  expect(systemInstruction).toEqual({ parts: [{ text: 'You code.' }, { text: 'Time is short.' }] });
  expect(contents).toEqual([
    { role: 'user', parts: [{ text: 'Fix it.' }, picture, { fileData: { fileUri: 'https://h/i' } }] },
    {
      role: 'model',
      parts: [
        { text: 'I look.' },
        { functionCall: { id: 'a', name: 'run', args: { c: 1 } } },
        { functionCall: { id: 'b', name: '_2list', args: {} } },
      ],
    },
    {
      role: 'user',
      parts: [
        { functionResponse: { id: 'a', name: 'run', response: { output: 'x.txt' } } },
        { functionResponse: { id: 'b', name: '_2list', response: { error: 'no such folder' } } },
        picture,
      ],
    },
    { role: 'user', parts: [{ text: 'Go on.' }] },
  ]);
});

test('many results in a row are joined in linear time', () => {
  const count = 150_000;
  const messages = Array.from({ length: count }, (): ProviderMessage => ({
    role: 'tool',
    content: [result('a', 'run', 'x')],
  }));
  const { contents } = bodyOf(messages);
  expect((contents as { parts: object[] }[]).map(({ parts }) => parts.length)).toEqual([count]);
});

test('signatures are sent back unchanged, each in its part, but not those of other providers', () => {
  const { contents } = bodyOf([
    {
      role: 'assistant',
      content: [
        { type: 'thinking', text: 'hm', redacted: false, ...signed('s0') },
        { type: 'thinking', text: 'unsigned', redacted: false },
        { type: 'thinking', text: 'foreign', redacted: false, ...signed('x', 'anthropic') },
        { ...text('I look.'), ...signed('s1') },
        { ...text(''), ...signed('s2') },
        { ...call('a', 'run', '{}'), ...signed('s3') },
        { ...call('b', 'run', '{}'), ...signed('x', 'openai-responses') },
      ],
    },
  ]);
  expect(contents).toEqual([
    {
      role: 'model',
      parts: [
        { text: 'hm', thought: true, thoughtSignature: 's0' },
        { text: 'I look.', thoughtSignature: 's1' },
        { text: '', thoughtSignature: 's2' },
        { functionCall: { id: 'a', name: 'run', args: {} }, thoughtSignature: 's3' },
        { functionCall: { id: 'b', name: 'run', args: {} } },
      ],
    },
  ]);
});

test("for a model that rejects unsigned calls, the first call of another provider's answer has the placeholder signature", () => {
  const answer: ProviderMessage = { role: 'assistant', content: [call('a', 'run', '{}'), call('b', 'run', '{}')] };
  const own: ProviderMessage = {
    role: 'assistant',
    content: [{ ...call('c', 'run', '{}'), ...signed('s1') }, call('d', 'run', '{}')],
  };
  const signatures = (model: string) =>
    (bodyOf([answer, own], { model })['contents'] as { parts: { thoughtSignature?: string }[] }[]).map(({ parts }) =>
      parts.map(({ thoughtSignature }) => thoughtSignature ?? null),
    );
  const skip = 'skip_thought_signature_validator';
  expect(signatures('gemini-3-pro-preview')).toEqual([
    [skip, null],
    ['s1', null],
  ]);
  expect(signatures('gemini-flash-latest')[0]).toEqual([skip, null]);
  expect(signatures('gemini-2.5-pro')[0]).toEqual([null, null]);
});

const schema = { type: 'object' };
test.each<[ModelSettings, object]>([
  [
    { maxOutputTokens: 9, temperature: 0, topP: 0.5, topK: 3, seed: 7, stopSequences: ['x'] },
    { maxOutputTokens: 9, temperature: 0, topP: 0.5, topK: 3, seed: 7, stopSequences: ['x'] },
  ],
  [{ responseFormat: { type: 'text' } }, { responseMimeType: 'text/plain' }],
  [{ responseFormat: { type: 'json' } }, { responseMimeType: 'application/json' }],
  [
    { responseFormat: { type: 'json-schema', name: 'n', schema, strict: true } },
    { responseMimeType: 'application/json', responseJsonSchema: schema },
  ],
  [{ thinking: { budgetTokens: 9 } }, { thinkingConfig: { thinkingBudget: 9, includeThoughts: true } }],
  [{ thinking: { budgetTokens: 0 } }, { thinkingConfig: { thinkingBudget: 0, includeThoughts: false } }],
])('the settings %j', (settings, expected) => {
  expect(configOf(settings)).toEqual(expected);
});

test.each([
  ['gemini-2.5-flash', 'none', { thinkingBudget: 0, includeThoughts: false }],
  ['gemini-2.5-pro', 'none', { thinkingBudget: 128, includeThoughts: false }],
  ['gemini-2.5-pro', 'high', { thinkingBudget: 24_576, includeThoughts: true }],
  ['gemini-3-pro-preview', 'none', { thinkingLevel: 'low', includeThoughts: false }],
  ['gemini-3-flash', 'none', { thinkingLevel: 'minimal', includeThoughts: false }],
  ['gemini-3-flash', 'medium', { thinkingLevel: 'medium', includeThoughts: true }],
] as const)('%s thinks with effort %s', (model, effort, thinkingConfig) => {
  expect(configOf({ thinking: { effort } }, model)).toEqual({ thinkingConfig });
});

test.each<[ModelSettings['toolChoice'], object]>([
  ['auto', { mode: 'AUTO' }],
  ['none', { mode: 'NONE' }],
  ['required', { mode: 'ANY' }],
  [{ tool: 'list' }, { mode: 'ANY', allowedFunctionNames: ['list'] }],
])('the tool choice %j', (toolChoice, functionCallingConfig) => {
  expect(bodyOf([], { tools, settings: { toolChoice } })['toolConfig']).toEqual({ functionCallingConfig });
  expect(bodyOf([], { settings: { toolChoice } })).not.toHaveProperty('toolConfig');
});

test.each([
  ['gemini-3-pro', 'v1beta/models/gemini-3-pro:generateContent'],
  ['models/gemini-3-pro', 'v1beta/models/gemini-3-pro:generateContent'],
  ['tunedModels/mine', 'v1beta/tunedModels/mine:generateContent'],
  ['../../files?x=', 'v1beta/models/..%2F..%2Ffiles%3Fx%3D:generateContent'],
  ['half a pair \uD800', 'v1beta/models/half%20a%20pair%20%EF%BF%BD:generateContent'],
])('the path contains the model %s', (model, path) => {
  expect(gemini.path(model, false)).toBe(path);
  expect(gemini.path(model, true)).toBe(path.replace(/generateContent$/, 'streamGenerateContent?alt=sse'));
});

test('a request of the same wire format is passed on unchanged', () => {
  const body = { contents: [{ parts: [{ text: 'hi' }] }], cachedContent: 'cachedContents/1', safetySettings: [] };
  const original = { wire: 'gemini', body, headers: { 'x-goog-api-client': 'x' } } as const;
  expect(gemini.passOn(original, 'gemini-3-pro', true)).toEqual(body);
  const named = { ...original, body: { ...body, model: 'models/fast' } };
  expect(gemini.passOn(named, 'gemini-3-pro', true)).toEqual({ ...body, model: 'models/gemini-3-pro' });
  expect(gemini.headers(original)).toEqual({ 'x-goog-api-client': 'x' });
  const limited = (fields: object) =>
    gemini.passOn({ ...original, body: { ...body, ...fields }, maxOutputTokens: 300 }, 'gemini-3-pro', true);
  expect(limited({})).toEqual({ ...body, generationConfig: { maxOutputTokens: 300 } });
  expect(limited({ generation_config: { top_k: 4 } })).toEqual({
    ...body,
    generation_config: { top_k: 4, maxOutputTokens: 300 },
  });
});

test('only models that can answer are listed', () => {
  const models = [
    { name: 'models/gemini-3-pro', supportedGenerationMethods: ['generateContent', 'countTokens'] },
    { name: 'models/embedding-1', supportedGenerationMethods: ['embedContent'] },
    { name: 'models/of-a-proxy' },
  ];
  expect(gemini.models.names({ models, nextPageToken: 'x' })).toEqual(['gemini-3-pro', 'of-a-proxy']);
  expect(gemini.models.names({ data: [] })).toBeNull();
});
