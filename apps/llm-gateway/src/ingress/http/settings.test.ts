import { expect, test } from 'vitest';
import { parseMessagesRequest } from '../../wires/anthropic/serve/parse-request.ts';
import { parseGenerateRequest } from '../../wires/gemini/serve/parse-request.ts';
import { parseChatRequest } from '../../wires/openai-chat/serve/parse-request.ts';
import { parseResponsesRequest } from '../../wires/openai-responses/serve/parse-request.ts';
import { requestParts } from './test-support/answers.ts';

const messages = [{ role: 'user', content: 'hi' }];
const ofModel = requestParts('/v1beta/models/acme%2Fone:generateContent');

test.each([
  [
    'reasoning_effort',
    (effort: string) => parseChatRequest({ model: 'a', messages, reasoning_effort: effort }, requestParts()),
  ],
  [
    'reasoning.effort',
    (effort: string) => parseResponsesRequest({ model: 'a', input: 'hi', reasoning: { effort } }, requestParts()),
  ],
  [
    'output_config.effort',
    (effort: string) =>
      parseMessagesRequest({ model: 'a', max_tokens: 9, messages, output_config: { effort } }, requestParts()),
  ],
  [
    'generationConfig.thinkingConfig.thinkingLevel',
    (thinkingLevel: string) =>
      parseGenerateRequest(
        {
          contents: [{ role: 'user', parts: [{ text: 'hi' }] }],
          generationConfig: { thinkingConfig: { thinkingLevel } },
        },
        ofModel,
      ),
  ],
])('%s: a word for how hard to think is understood, or said to have none in other wires', (field, parse) => {
  expect(parse('low')).toMatchObject({ request: { settings: { thinking: { effort: 'low' } } }, untranslatable: [] });
  expect(parse('max')).toMatchObject({ request: { settings: { thinking: { effort: 'high' } } }, untranslatable: [] });
  const odd = parse('frantic');
  expect(odd.request.settings.thinking).toBeUndefined();
  expect(odd.untranslatable).toEqual([
    { field, expected: 'one of none, minimal, low, medium, high', received: '"frantic"' },
  ]);
});
