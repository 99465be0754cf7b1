import { describe, expect, test } from 'vitest';
import { openAiChat } from '../wires/openai-chat/wire.ts';
import { openAiResponses } from '../wires/openai-responses/wire.ts';

const wires = [openAiChat, openAiResponses];
const ofOpenAi = ['stop', 'temperature', 'top_p', 'frequency_penalty', 'logit_bias', 'logprobs'];
const fieldsOf = (body: object) => Object.keys(body).filter((name) => ofOpenAi.includes(name));

describe.each(wires)('$name: a request of another wire format', (wire) => {
  const fieldsTo = (model: string, thinking?: { effort: 'none' | 'low' }) => {
    const settings = { temperature: 0, topP: 0.95, stopSequences: ['X'], ...(thinking ? { thinking } : {}) };
    return fieldsOf(wire.body({ model, messages: [], tools: [], settings }, true));
  };

  test.each([
    'gpt-5',
    'gpt-5-mini-2025-08-07',
    'ft:gpt-5-mini',
    'gpt-5-codex',
    'gpt-5.1-codex',
    'gpt-5.4-pro',
    'gpt-5.4-pro-2026-03-05',
    'ft:gpt-5.3-codex:acme:mine:x',
    'gpt-5.5-2026-04-23',
    'gpt-5.6-sol',
    'gpt-5.2-chat-latest',
    'o4-mini',
  ])('%s, which thinks, gets no fields that it rejects', (model) => {
    expect(fieldsTo(model)).toEqual([]);
  });

  test.each(['gpt-4.1', 'ft:gpt-4o', 'gpt-5-chat-latest', 'gpt-oss-120b', 'qwen3', 'openai-o1-like'])(
    '%s gets all fields',
    (model) => {
      expect(fieldsTo(model)).toEqual(['temperature', 'top_p', ...(wire.name === 'openai-chat' ? ['stop'] : [])]);
    },
  );

  test.each([
    'gpt-5.4-prod',
    'gpt-5.4-production',
    'gpt-5.1-chats',
    'ft:gpt-5.4:acme:my-project:x',
    'ft:gpt-5.4:acme-chat:my-pro:x',
  ])('%s, which thinks only on request, gets the sampling settings', (model) => {
    expect(fieldsTo(model)).toEqual(['temperature', 'top_p']);
    expect(fieldsTo(model, { effort: 'low' })).toEqual([]);
  });

  test('a model without thinking gets the sampling settings, if its thinking can be turned off', () => {
    expect(fieldsTo('gpt-5.4')).toEqual(['temperature', 'top_p']);
    expect(fieldsTo('gpt-5.2', { effort: 'none' })).toEqual(['temperature', 'top_p']);
    expect(fieldsTo('gpt-5.5', { effort: 'none' })).toEqual(['temperature', 'top_p']);
    expect(fieldsTo('gpt-5.2', { effort: 'low' })).toEqual([]);
    expect(fieldsTo('gpt-5-mini', { effort: 'none' })).toEqual([]);
  });
});

describe.each(wires)('$name: a request of its own wire format', (wire) => {
  const said = { temperature: 0.2, top_p: 0.9, stop: ['X'], frequency_penalty: 1, logit_bias: {}, logprobs: true };
  const effort = wire.name === 'openai-chat' ? { reasoning_effort: 'none' } : { reasoning: { effort: 'none' } };
  const fieldsTo = (model: string, body: object) =>
    fieldsOf(wire.passOn({ wire: wire.name, body: { ...said, ...body }, headers: {} }, model, true)).toSorted();

  test('for an alias is sent without the fields that its candidate rejects', () => {
    expect(fieldsTo('gpt-5-mini', { model: 'fast@openai' })).toEqual([]);
    expect(fieldsTo('gpt-5.1', { model: 'fast', ...effort })).toEqual(['logprobs', 'temperature', 'top_p']);
    expect(fieldsTo('gpt-4.1', { model: 'fast' })).toEqual(ofOpenAi.toSorted());
  });

  test('for an alias has no thinking fields for a candidate that does not think', () => {
    const settings = { reasoning: { effort: 'low' }, reasoning_effort: 'low', verbosity: 'low', user: 'u' };
    const include = ['reasoning.encrypted_content', 'file_search_call.results'];
    const passedTo = (model: string) =>
      wire.passOn({ wire: wire.name, body: { ...settings, include, model: 'fast' }, headers: {} }, model, false);
    expect(passedTo('gpt-4.1')).toEqual({ model: 'gpt-4.1', user: 'u', include: ['file_search_call.results'] });
    expect(passedTo('gpt-5')).toEqual({ ...settings, include, model: 'gpt-5' });
    const text = { verbosity: 'low', format: { type: 'text' } };
    const original = { wire: wire.name, body: { text, model: 'fast' }, headers: {} };
    expect(wire.passOn(original, 'gpt-4.1', false)).toEqual({ model: 'gpt-4.1', text: { format: text.format } });
  });

  test.each(['gpt-5-mini', 'openai/gpt-5-mini'])(
    'for %s is passed on unchanged: the client gets its error',
    (model) => {
      expect(fieldsTo('gpt-5-mini', { model })).toEqual(ofOpenAi.toSorted());
    },
  );
});
