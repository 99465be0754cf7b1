import { expect, test } from 'vitest';
import { messagesEndpoint } from '../../wires/anthropic/serve/endpoint.ts';
import { chatEndpoint } from '../../wires/openai-chat/serve/endpoint.ts';
import { responsesEndpoint } from '../../wires/openai-responses/serve/endpoint.ts';
import { requestParts } from './test-support/answers.ts';

const messages = [{ role: 'user', content: 'hi' }];
const endpoints = [
  { name: 'chat completions', endpoint: chatEndpoint, body: { messages } },
  { name: 'responses', endpoint: responsesEndpoint, body: { input: 'hi' } },
  { name: 'messages', endpoint: messagesEndpoint, body: { messages, max_tokens: 1 } },
];

test.each(endpoints)('a field that the provider may take for another is refused: $name', ({ endpoint, body }) => {
  const parse = (more: object) => endpoint.parse({ model: 'm', ...body, ...more }, requestParts());
  expect(() => parse({ Model: 'dear' })).toThrow('Model: expected no such field (did you mean model?)');
  expect(() => parse({ ſtream: true })).toThrow('did you mean stream?');
  // These names differ from known fields in more than case, so they are accepted.
  expect(parse({ Unknown: 1, logitBias: {} }).request.original?.body).toMatchObject({ Unknown: 1, logitBias: {} });
});
