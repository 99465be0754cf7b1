import { expect, test } from 'vitest';
import { messagesDoor } from './anthropic/door.ts';
import { ollamaDoor } from './ollama/door.ts';
import { chatDoor } from './openai-chat/door.ts';
import { responsesDoor } from './openai-responses/door.ts';
import { asked } from './test-support/answers.ts';

const messages = [{ role: 'user', content: 'hi' }];
const doors = [
  { name: 'chat completions', door: chatDoor, body: { messages } },
  { name: 'responses', door: responsesDoor, body: { input: 'hi' } },
  { name: 'messages', door: messagesDoor, body: { messages, max_tokens: 1 } },
  { name: 'ollama', door: ollamaDoor, body: { messages } },
];

test.each(doors)('a field that the provider may take for another is refused: $name', ({ door, body }) => {
  const parse = (more: object) => door.parse({ model: 'm', ...body, ...more }, asked());
  expect(() => parse({ Model: 'dear' })).toThrow('Model: expected no such field (did you mean model?)');
  expect(() => parse({ ſtream: true })).toThrow('did you mean stream?');
  // No server takes these for other fields.
  expect(parse({ Unknown: 1, logitBias: {} }).request.original?.body).toMatchObject({ Unknown: 1, logitBias: {} });
});
