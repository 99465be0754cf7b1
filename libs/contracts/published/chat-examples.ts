/** Examples of chats. examples.ts has all other examples. */
import { artifactNames, messageHeaders } from '@coppice/contracts';
import type { Example } from './examples.ts';

const usage = { inputTokens: 812, outputTokens: 64, costUsd: 0.003 };
const artifact = artifactNames.text({ tenant: 'acme', taskId: 'tkqzutpe3wz5pfg6i' }, '5afd0037f685d842');
const one = (payload: unknown): Example[] => [{ name: 'example', payload }];

const chatId = 'c5f0d1f3a8b7c6e9d0a1b2c3d4e5f6071';
const signature = { wire: 'anthropic', value: 'EqoBCkgIARAB' };
const said = (...content: object[]) => ({ role: 'assistant', content });
const userMessage = (text: string) => ({ role: 'user', content: [{ type: 'text', text }] });

const question = {
  model: 'fast',
  messages: [userMessage('What is new in version 42? One sentence.')],
};

const tool = {
  name: 'git_log',
  description: 'Commits since a tag.',
  parameters: { type: 'object', properties: { since: { type: 'string' } }, required: ['since'] },
};

const questionWithTool = {
  model: 'anthropic/claude-sonnet-4-5',
  messages: [
    userMessage('What is new in version 42?'),
    said(
      { type: 'thinking', text: { text: 'The log tells.' }, signature },
      { type: 'tool-call', id: 'call_1', name: 'git_log', arguments: { text: '{"since":"v41"}' } },
    ),
    {
      role: 'tool',
      content: [
        {
          type: 'tool-result',
          callId: 'call_1',
          name: 'git_log',
          content: { text: 'fix: round prices once' },
          isError: false,
        },
      ],
    },
  ],
  tools: [tool],
  stream: false,
};

const fullQuestion = {
  model: 'openai/gpt-5-mini',
  messages: [
    { role: 'system', content: [{ type: 'text', text: 'Answer in JSON.' }] },
    {
      role: 'user',
      content: [
        { type: 'text-artifact', artifact },
        { type: 'image', mediaType: 'image/png', source: { base64: 'iVBORw0KGgo=' } },
        { type: 'image', source: { url: 'https://example.com/shop.png' } },
      ],
    },
  ],
  tools: [tool],
  settings: {
    maxOutputTokens: 1_000,
    temperature: 0.2,
    topP: 0.9,
    topK: 40,
    seed: 7,
    stopSequences: ['END'],
    toolChoice: { tool: 'git_log' },
    parallelToolCalls: false,
    responseFormat: { type: 'json-schema', name: 'news', schema: { type: 'object' }, strict: true },
    thinking: { effort: 'low' },
    cache: false,
  },
  stream: true,
  timeLimitMs: 60_000,
  limits: { tokens: 20_000, costUsd: 0.5 },
};

const answerEnd = {
  finishReason: 'stop',
  responseModel: 'gpt-5-mini-2025-08-07',
  usage: { ...usage, cachedInputTokens: 512 },
  provider: 'openai',
  model: 'gpt-5-mini',
  attempts: 1,
  latencyMs: 1_420,
  queuedMs: 0,
  cached: false,
};

const chatRefused = {
  code: 'provider-failed',
  message: 'openai/gpt-5-mini ended its answer in the middle',
  retryable: true,
  details: { attempts: 1, usage },
};

export const chatExamples: Record<string, { input: Example[]; output: Example[] }> = {
  'llm.chat': {
    input: [
      { name: 'smallest', payload: question },
      { name: 'with-a-tool', payload: questionWithTool },
      { name: 'every-field', payload: fullQuestion },
    ],
    output: [
      {
        name: 'text',
        payload: { message: said({ type: 'text', text: 'Version 42 rounds prices once.' }), ...answerEnd },
      },
      {
        name: 'tool-call',
        payload: {
          message: said(
            { type: 'thinking', text: { text: 'The log tells.' }, redacted: false, signature },
            { type: 'tool-call', id: 'call_1', name: 'git_log', arguments: { text: '{"since":"v41"}' } },
          ),
          ...answerEnd,
          finishReason: 'tool-calls',
          providerFinishReason: 'tool_use',
          responseId: 'msg_01',
        },
      },
    ],
  },
  'llm.keep': { input: one({ chatId }), output: one({ chatId }) },
  'llm.cancel': { input: one({ chatId }), output: one({ chatId }) },
};

const chatMessage = (name: string, sequence: number, rest: object): Example => ({
  name,
  payload: { ...rest, sequence },
});

export const chatMessageExamples: Example[] = [
  chatMessage('started', 0, { type: 'started', chatId }),
  chatMessage('waiting', 1, { type: 'waiting' }),
  chatMessage('thinking-delta', 2, {
    type: 'thinking-delta',
    block: 0,
    text: 'The log tells.',
    redacted: false,
    signature,
  }),
  chatMessage('text-delta', 3, { type: 'text-delta', text: 'Version 42 ' }),
  chatMessage('tool-call-delta', 4, {
    type: 'tool-call-delta',
    call: 0,
    id: 'call_1',
    name: 'git_log',
    arguments: '{"since":',
  }),
  chatMessage('result', 5, { type: 'result', ...answerEnd }),
  {
    ...chatMessage('error', 5, { type: 'error', error: chatRefused }),
    headers: { [messageHeaders.errorCode]: chatRefused.code, [messageHeaders.errorText]: chatRefused.message },
  },
];
