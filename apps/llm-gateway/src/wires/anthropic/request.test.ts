import type { ModelSettings } from '@coppice/contracts';
import { describe, expect, test } from 'vitest';
import type { ProviderMessage, ProviderPart } from '../../provider/port.ts';
import { traitsOf } from './models.ts';
import { passedOn, requestBody } from './request.ts';

type Body = Record<string, unknown> & { messages: unknown[]; max_tokens: number };
const text = (value: string) => ({ type: 'text' as const, text: value });
const call = (id: string, name: string, value: string) => ({ type: 'tool-call' as const, id, name, arguments: value });
const result = (callId: string, content: string, isError = false) => ({
  type: 'tool-result' as const,
  callId,
  name: 'run',
  content,
  isError,
});
const user = (...content: ProviderPart[]): ProviderMessage => ({ role: 'user', content });
const assistant = (...content: ProviderPart[]): ProviderMessage => ({ role: 'assistant', content });
const list = { name: 'list', description: 'Lists.', parameters: { type: 'object' } };

const bodyOf = (messages: ProviderMessage[], settings: ModelSettings = {}, model = 'claude-sonnet-4-5'): Body =>
  requestBody({ model, messages, tools: [], settings }, true) as Body;
const settingsFor = (model: string, settings: ModelSettings): Body => bodyOf([user(text('a'))], settings, model);

test('a request has only the fields that the wire format requires', () => {
  expect(bodyOf([{ role: 'system', content: [text('You code.')] }, user(text('a'))])).toEqual({
    model: 'claude-sonnet-4-5',
    max_tokens: 32_000,
    stream: true,
    system: [{ type: 'text', text: 'You code.' }],
    messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }] }],
  });
  expect(requestBody({ model: 'm', messages: [user(text('a'))], tools: [], settings: {} }, false)).toMatchObject({
    stream: false,
  });
});

test('in a conversation, roles alternate, results directly follow their calls, and empty content is left out', () => {
  const { messages } = bodyOf([
    user(text('Fix it.')),
    assistant(text('I look.'), call('a', 'run', '{"command":"ls"}'), call('b', 'list', '')),
    { role: 'tool', content: [result('a', 'x.txt')] },
    { role: 'tool', content: [result('b', '', true)] },
    user(text('Hurry.')),
    assistant(),
    user(text(' \n'), text('Go on.')),
    assistant(call('c', 'run', '{"command":')),
    { role: 'tool', content: [text('by the way'), result('c', '')] },
  ]);
  expect(messages).toEqual([
    { role: 'user', content: [text('Fix it.')] },
    {
      role: 'assistant',
      content: [
        text('I look.'),
        { type: 'tool_use', id: 'a', name: 'run', input: { command: 'ls' } },
        { type: 'tool_use', id: 'b', name: 'list', input: {} },
      ],
    },
    {
      role: 'user',
      content: [
        { type: 'tool_result', tool_use_id: 'a', content: [text('x.txt')] },
        { type: 'tool_result', tool_use_id: 'b', content: [text('It failed, and said nothing.')], is_error: true },
        text('Hurry.'),
        text('Go on.'),
      ],
    },
    {
      role: 'assistant',
      content: [{ type: 'tool_use', id: 'c', name: 'run', input: { malformedArguments: '{"command":' } }],
    },
    {
      role: 'user',
      content: [
        { type: 'tool_result', tool_use_id: 'c' },
        { ...text('by the way'), cache_control: { type: 'ephemeral' } },
      ],
    },
  ]);
});

test('system messages are in a separate field, wherever they are in the conversation', () => {
  const system = (value: string): ProviderMessage => ({ role: 'system', content: [text(value), text('')] });
  expect(bodyOf([system('One.'), user(text('a')), system('Two.')])).toMatchObject({
    system: [text('One.'), text('Two.')],
    messages: [{ role: 'user', content: [text('a')] }],
  });
});

test('images are sent inline and by URL, next to a text and in a result', () => {
  const png = { mediaType: 'image/png', base64: 'aGk=' };
  const remote = { url: 'https://images.example/a.png' };
  const byValue = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'aGk=' } };
  const byAddress = { type: 'image', source: { type: 'url', url: remote.url } };
  const { messages } = bodyOf([
    user(text('See.'), { type: 'image', image: png }, { type: 'image', image: remote }),
    assistant(call('a', 'run', '{}')),
    { role: 'tool', content: [{ ...result('a', 'A picture.'), images: [png, remote] }] },
  ]);
  expect(messages).toMatchObject([
    { content: [text('See.'), byValue, byAddress] },
    {},
    { content: [{ type: 'tool_result', content: [text('A picture.'), byValue, byAddress] }] },
  ]);
});

test('thinking is sent back with its signature, also redacted thinking, but not that of another wire format', () => {
  const thought = { type: 'thinking' as const, redacted: false };
  const { messages } = bodyOf([
    user(text('a')),
    assistant(
      { ...thought, text: 'hm', signature: { wire: 'anthropic', value: 's1' } },
      { ...thought, text: '', signature: { wire: 'anthropic', value: 's2' } },
      { ...thought, redacted: true, text: '', signature: { wire: 'anthropic', value: 'd1' } },
      { ...thought, text: 'of another', signature: { wire: 'gemini', value: 'g1' } },
      { ...thought, text: 'unsigned' },
      text('b'),
    ),
  ]);
  expect(messages[1]).toEqual({
    role: 'assistant',
    content: [
      { type: 'thinking', thinking: 'hm', signature: 's1' },
      { type: 'thinking', thinking: '', signature: 's2' },
      { type: 'redacted_thinking', data: 'd1' },
      text('b'),
    ],
  });
});

test('ids and names that the API rejects are converted in the same way in call and result', () => {
  const { messages } = bodyOf([
    user(text('a')),
    assistant(call('functions.read:0', 'functions.read', '{}')),
    { role: 'tool', content: [result('functions.read:0', 'x')] },
  ]);
  const [, said, answered] = messages as { content: { id?: string; name?: string; tool_use_id?: string }[] }[];
  expect(said?.content[0]?.id).toMatch(/^[a-zA-Z0-9_-]+$/);
  expect(said?.content[0]?.name).toBe('functions_read');
  expect(answered?.content[0]?.tool_use_id).toBe(said?.content[0]?.id);
});

test('a conversation that continues is marked for the cache, and a single question is not', () => {
  const mark = { cache_control: { type: 'ephemeral' } };
  const system: ProviderMessage = { role: 'system', content: [text('You code.')] };
  const request = { model: 'claude-x', messages: [system, user(text('a'))], tools: [list], settings: {} };
  expect(requestBody(request, true)).toMatchObject({ system: [mark], messages: [{ content: [mark] }] });
  expect(JSON.stringify(requestBody({ ...request, tools: [] }, true))).not.toContain('cache_control');
});

describe('the settings', () => {
  test('of tools', () => {
    const toolsWith = (settings: ModelSettings) =>
      requestBody({ model: 'claude-x', messages: [user(text('a'))], tools: [list], settings }, true) as Body;
    expect(toolsWith({})).toMatchObject({
      tools: [{ name: 'list', description: 'Lists.', input_schema: { type: 'object' } }],
    });
    expect(toolsWith({})).not.toHaveProperty('tool_choice');
    expect(toolsWith({ toolChoice: 'none' })['tool_choice']).toEqual({ type: 'none' });
    expect(toolsWith({ toolChoice: 'auto' })['tool_choice']).toEqual({ type: 'auto' });
    expect(toolsWith({ toolChoice: 'required' })['tool_choice']).toEqual({ type: 'any' });
    expect(toolsWith({ toolChoice: { tool: 'list' }, parallelToolCalls: false })['tool_choice']).toEqual({
      type: 'tool',
      name: 'list',
      disable_parallel_tool_use: true,
    });
    expect(toolsWith({ parallelToolCalls: false })['tool_choice']).toEqual({
      type: 'auto',
      disable_parallel_tool_use: true,
    });
    expect(bodyOf([user(text('a'))], { toolChoice: 'required' })).not.toHaveProperty('tool_choice');
  });

  test('of sampling, if the model accepts them', () => {
    const sampling = { temperature: 1.5, topK: 40, stopSequences: ['END', ' '], maxOutputTokens: 77, seed: 1 };
    expect(settingsFor('claude-sonnet-4-5', sampling)).toMatchObject({
      max_tokens: 77,
      temperature: 1,
      top_k: 40,
      stop_sequences: ['END'],
    });
    expect(settingsFor('claude-sonnet-4-5', sampling)).not.toHaveProperty('seed');
    expect(settingsFor('claude-sonnet-4-5', { topP: 0.9 })).toMatchObject({ top_p: 0.9 });
    const refusing = settingsFor('claude-opus-5', { ...sampling, topP: 0.9 });
    for (const refused of ['temperature', 'top_p', 'top_k']) expect(refusing).not.toHaveProperty(refused);
    expect(refusing).toMatchObject({ stop_sequences: ['END'] });
  });

  test.each<[string, ModelSettings, object]>([
    ['claude-sonnet-4-5', { thinking: { effort: 'medium' } }, { type: 'enabled', budget_tokens: 8_192 }],
    ['claude-sonnet-4-5', { thinking: { budgetTokens: 4_000 } }, { type: 'enabled', budget_tokens: 4_000 }],
    ['claude-sonnet-4-5', { thinking: { budgetTokens: 1 } }, { type: 'enabled', budget_tokens: 1_024 }],
    // The requested output limit stays unchanged.
    [
      'claude-sonnet-4-5',
      { thinking: { effort: 'high' }, maxOutputTokens: 3_000 },
      { type: 'enabled', budget_tokens: 2_999 },
    ],
    ['claude-opus-4-6', { thinking: { effort: 'low' } }, { type: 'adaptive' }],
    ['claude-opus-5', { thinking: { budgetTokens: 5_000 } }, { type: 'adaptive' }],
    ['claude-opus-5', { thinking: { effort: 'none' } }, { type: 'disabled' }],
    ['claude-opus-5', { thinking: { budgetTokens: 0 } }, { type: 'disabled' }],
  ])('of thinking: %s with %j', (model, settings, thinking) => {
    expect(settingsFor(model, settings)).toMatchObject({ thinking });
  });

  test.each<[string, ModelSettings]>([
    ['claude-sonnet-4-5', {}],
    ['claude-sonnet-4-5', { thinking: { effort: 'none' } }],
    ['claude-sonnet-4-5', { thinking: { effort: 'high' }, maxOutputTokens: 1_000 }],
    ['claude-3-5-haiku-latest', { thinking: { effort: 'high' } }],
    ['claude-opus-5', {}],
    // These models always think.
    ['claude-opus-5-5', { thinking: { effort: 'none' } }],
    // The API rejects thinking if a tool call is forced.
    ['claude-sonnet-4-5', { thinking: { effort: 'high' }, toolChoice: 'required' }],
  ])('of thinking: %s gets none with %j', (model, settings) => {
    expect(settingsFor(model, settings)).not.toHaveProperty('thinking');
  });

  test('of the effort, and the output limit that a budget needs', () => {
    const effortOf = (model: string, settings: ModelSettings) => settingsFor(model, settings)['output_config'];
    expect(effortOf('claude-opus-4-6', { thinking: { effort: 'minimal' } })).toEqual({ effort: 'low' });
    expect(effortOf('claude-opus-5', { thinking: { budgetTokens: 5_000 } })).toEqual({ effort: 'medium' });
    expect(effortOf('claude-opus-5', { thinking: { budgetTokens: 50_000 } })).toEqual({ effort: 'high' });
    expect(effortOf('claude-opus-5-5', { thinking: { effort: 'none' } })).toEqual({ effort: 'low' });
    expect(effortOf('claude-opus-5', { thinking: { effort: 'none' } })).toBeUndefined();
    expect(effortOf('claude-sonnet-4-5', { thinking: { effort: 'high' } })).toBeUndefined();
    expect(settingsFor('claude-sonnet-4-5', { thinking: { budgetTokens: 60_000 } }).max_tokens).toBe(68_192);
    // A model that thinks accepts no temperature.
    expect(settingsFor('claude-opus-4-6', { thinking: { effort: 'low' }, temperature: 0 })).not.toHaveProperty(
      'temperature',
    );
  });

  test('a turn that another provider began without thinking continues without thinking', () => {
    const turn = (...first: ProviderPart[]) => [
      user(text('a')),
      assistant(...first, call('c', 'run', '{}')),
      { role: 'tool' as const, content: [result('c', 'x')] },
    ];
    const signed = {
      type: 'thinking' as const,
      text: 'hm',
      redacted: false,
      signature: { wire: 'anthropic', value: 's' },
    };
    const settings: ModelSettings = { thinking: { effort: 'low' } };
    expect(bodyOf(turn(), settings)).not.toHaveProperty('thinking');
    expect(bodyOf(turn(signed), settings)).toHaveProperty('thinking');
    expect(bodyOf([...turn(), assistant(text('Done.')), user(text('And now?'))], settings)).toHaveProperty('thinking');
  });
});

describe('the format of the answer', () => {
  const schema = {
    type: 'object',
    properties: {
      age: { type: 'integer', minimum: 0, description: 'In years.' },
      names: { type: 'array', minItems: 2, items: { $ref: '#/$defs/name' } },
      extra: { type: 'object', additionalProperties: { type: 'string' } },
    },
    required: ['age'],
    $defs: {
      name: {
        anyOf: [
          { type: 'string', maxLength: 9 },
          { type: 'object', properties: {} },
        ],
      },
    },
  };
  const format = { type: 'json-schema' as const, name: 'person', schema };

  test('a schema is sent without additional properties and without keywords that the API rejects', () => {
    expect(
      settingsFor('claude-opus-5', { responseFormat: format, thinking: { effort: 'low' } })['output_config'],
    ).toEqual({
      effort: 'low',
      format: {
        type: 'json_schema',
        schema: {
          type: 'object',
          properties: {
            age: { type: 'integer', description: 'In years. (minimum: 0)' },
            names: { type: 'array', items: { $ref: '#/$defs/name' }, description: '(minItems: 2)' },
            extra: { type: 'object', additionalProperties: { type: 'string' } },
          },
          required: ['age'],
          $defs: {
            name: {
              anyOf: [
                { type: 'string', description: '(maxLength: 9)' },
                { type: 'object', properties: {}, additionalProperties: false },
              ],
            },
          },
          additionalProperties: false,
        },
      },
    });
  });

  test('a property with the name of a keyword is not treated as a keyword', () => {
    const named = { type: 'object', properties: { minimum: { type: 'integer' } }, additionalProperties: false };
    const body = settingsFor('claude-opus-5', { responseFormat: { ...format, schema: named } });
    expect(body['output_config']).toEqual({ format: { type: 'json_schema', schema: named } });
  });

  test('a model that accepts no schema gets it as an instruction, and JSON of any form is requested by an instruction', () => {
    for (const [model, responseFormat, instruction] of [
      ['claude-3-7-sonnet-latest', format, JSON.stringify(schema)],
      ['deepseek-chat', format, JSON.stringify(schema)],
      ['claude-opus-5', { type: 'json' as const }, 'JSON object'],
    ] as const) {
      const body = settingsFor(model, { responseFormat });
      expect(body).not.toHaveProperty('output_config');
      expect(body['system']).toEqual([{ type: 'text', text: expect.stringContaining(instruction) }]);
    }
    expect(settingsFor('claude-opus-5', { responseFormat: { type: 'text' } })).not.toHaveProperty('system');
  });
});

test.each([
  ['claude-instant-1.2', 'never', true, 4_096],
  ['claude-2.1', 'never', true, 4_096],
  ['claude-3-haiku-20240307', 'never', true, 4_096],
  ['claude-3-5-sonnet-20241022', 'never', true, 8_192],
  ['claude-3-7-sonnet-latest', 'budget', true, 32_000],
  ['claude-sonnet-4-20250514', 'budget', true, 32_000],
  ['claude-opus-4-1-20250805', 'budget', true, 32_000],
  ['claude-haiku-4-5-20251001', 'budget', true, 32_000],
  ['anthropic.claude-opus-4-6-v1', 'adaptive', true, 32_000],
  ['anthropic/claude-sonnet-4.6', 'adaptive', true, 32_000],
  ['claude-opus-4-8', 'adaptive', false, 32_000],
  ['claude-sonnet-5', 'adaptive', false, 32_000],
  ['claude-opus-5-5', 'always', false, 32_000],
  ['claude-fable-5', 'always', false, 32_000],
  ['claude-mythos-preview', 'always', false, 32_000],
  ['claude-next', 'always', false, 32_000],
  ['deepseek-chat', 'budget', true, 8_192],
])(
  '%s has the thinking setting %s, accepts a temperature: %s, and has the default output limit %i',
  (model, thinking, sampling, max) => {
    expect(traitsOf(model)).toMatchObject({ thinking, sampling, maxOutputTokens: max });
  },
);

test('a request of this wire format keeps all fields except the model', () => {
  const body = { model: 'alias', max_tokens: 5, messages: [], unheard_of: { a: 1 } };
  const original = { wire: 'anthropic' as const, body, headers: {} };
  expect(passedOn(original, 'claude-x', true)).toEqual({ ...body, model: 'claude-x', stream: true });
  expect(passedOn(original, 'claude-x', false)).toEqual({ ...body, model: 'claude-x', stream: false });
});

test('for an alias, sampling settings are removed for candidates that reject them', () => {
  const sampling = { temperature: 0.2, top_p: 0.9, top_k: 40 };
  const passedTo = (model: string, requestedModel: string) =>
    passedOn(
      { wire: 'anthropic', body: { ...sampling, model: requestedModel, stop_sequences: ['X'] }, headers: {} },
      model,
      true,
    );
  expect(passedTo('claude-opus-5', 'strong')).toEqual({ model: 'claude-opus-5', stop_sequences: ['X'], stream: true });
  expect(passedTo('claude-sonnet-4-5', 'strong')).toMatchObject(sampling);
  expect(passedTo('claude-opus-5', 'anthropic/claude-opus-5')).toMatchObject(sampling);
});
