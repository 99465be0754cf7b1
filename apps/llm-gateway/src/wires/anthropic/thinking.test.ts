import { describe, expect, test } from 'vitest';
import type { ProviderMessage } from '../../provider/port.ts';
import { passedOn, requestBody } from './request.ts';

const user = { role: 'user', content: 'go' };
const thought = { type: 'thinking', thinking: 'hm', signature: 's' };
const call = { type: 'tool_use', id: 'c', name: 'read', input: {} };
const result = { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'c', content: 'a' }] };
const reminded = { role: 'user', content: [...result.content, { type: 'text', text: 'Mind the tests.' }] };
const answer = (...content: object[]) => ({ role: 'assistant', content });

describe('the request of a client of this wire format', () => {
  const thinking = { type: 'enabled', budget_tokens: 2_000 };
  const sent = (messages: object[], rest: { model?: string; foreignTaken?: boolean; edits?: object[] } = {}) => {
    const { model = 'strong', foreignTaken = false, edits } = rest;
    const body = { model, thinking, ...(edits === undefined ? {} : { context_management: { edits } }), messages };
    return passedOn({ wire: 'anthropic', body, headers: {}, foreignTaken }, 'claude-sonnet-4-5', false);
  };
  const named = 'anthropic/claude-sonnet-4-5';

  test.each([
    ['continues without further thinking', [user, answer(thought, call), result, answer(call), result]],
    ['gets a text next to a result', [user, answer(thought, call), reminded, answer(call), result]],
    ['has thought again', [user, answer(thought, call), result, answer(thought, call), result]],
    [
      'redacted its thinking',
      [user, answer({ type: 'redacted_thinking', data: 'd' }, call), result, answer(call), result],
    ],
    ['has a new question', [user, answer(call), result, answer({ type: 'text', text: 'Done.' }), user]],
  ])('is unchanged if Claude %s', (_, messages) => {
    for (const rest of [{}, { model: named }, { foreignTaken: true }])
      expect(sent(messages, rest)).toMatchObject({ thinking, messages });
  });

  test.each([
    ['an answer that it began', [user, answer(call), result]],
    ['an answer in which Claude thought later', [user, answer(call), result, answer(thought, call), result]],
    ['an answer with a text next to the result', [user, answer(call), reminded]],
  ])('for an alias, where another provider may have begun, has no thinking in the middle of %s', (_, messages) => {
    expect(sent(messages)).not.toHaveProperty('thinking');
    expect(sent(messages, { model: named, foreignTaken: true })).not.toHaveProperty('thinking');
  });

  test("is unchanged if it names the model and has only its answers, so that the client gets the vendor's error", () => {
    expect(sent([user, answer(call), result], { model: named })).toHaveProperty('thinking', thinking);
  });

  test('has no clearing of thinking if thinking is removed, since the API would reject it', () => {
    const [ofThoughts, ofResults] = [{ type: 'clear_thinking_20251015' }, { type: 'clear_tool_uses_20250919' }];
    const edits = [ofThoughts, ofResults];
    expect(sent([user, answer(call), result], { edits })).toHaveProperty('context_management', { edits: [ofResults] });
    expect(sent([user], { edits })).toHaveProperty('context_management', { edits });
  });
});

test('a translated conversation in which Claude continues without further thinking keeps its thinking', () => {
  const signature = { wire: 'anthropic', value: 's' };
  const made = { type: 'tool-call' as const, id: 'c', name: 'read', arguments: '{}' };
  const results: ProviderMessage = {
    role: 'tool',
    content: [{ type: 'tool-result', callId: 'c', name: 'read', content: 'a', isError: false }],
  };
  const messages: ProviderMessage[] = [
    { role: 'user', content: [{ type: 'text', text: 'go' }] },
    { role: 'assistant', content: [{ type: 'thinking', text: 'hm', redacted: false, signature }, made] },
    results,
    { role: 'assistant', content: [made] },
    results,
  ];
  const settings = { thinking: { budgetTokens: 2_000 } };
  expect(requestBody({ model: 'claude-sonnet-4-5', messages, tools: [], settings }, true)).toMatchObject({
    thinking: { type: 'enabled', budget_tokens: 2_000 },
  });
});
