import { expect, test } from 'vitest';
import { answerMessage } from '../../ingress/turn/conversations.ts';
import { recorded, replay } from '../../test-support/replay.ts';
import { requestBody } from './request.ts';
import { anthropic } from './wire.ts';

test('an answer is sent back unchanged with the next turn, with its signed thinking in the same place', async () => {
  const answer = await replay(anthropic, [await recorded(import.meta.url, 'thinking.sse')]);
  if (answer.status === 'failed') throw answer.error;
  const results = answer.toolCalls.map(({ id, name }) => ({
    type: 'tool-result' as const,
    callId: id,
    name,
    content: 'x',
    isError: false,
  }));
  const body = requestBody(
    {
      model: 'claude-opus-4-6',
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'Read it.' }] },
        answerMessage(answer),
        { role: 'tool', content: results },
      ],
      tools: [],
      settings: { thinking: { effort: 'high' } },
    },
    true,
  ) as { messages: object[] };
  expect(body).toMatchObject({ thinking: { type: 'adaptive' } });
  expect(body.messages[1]).toEqual({
    role: 'assistant',
    content: [
      {
        type: 'thinking',
        thinking: 'The file is “ü”.',
        signature: 'EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk=',
      },
      { type: 'redacted_thinking', data: 'EmwKAhgBEgy3va3pzix=' },
      { type: 'text', text: 'I read it.' },
      { type: 'tool_use', id: 'toolu_01A', name: 'read', input: { path: 'ü' } },
      { type: 'thinking', thinking: '', signature: 'EqRRCgIYAhIM=' },
      { type: 'tool_use', id: 'toolu_01B', name: 'list', input: {} },
    ],
  });
  expect(body.messages[2]).toMatchObject({
    content: [{ tool_use_id: 'toolu_01A' }, { tool_use_id: 'toolu_01B' }],
  });
});
