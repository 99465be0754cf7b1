/**
 * Tests every fixture of every wire format. Each endpoint writes the answer, and the reader of that endpoint's wire
 * format must read it unchanged.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { expect, describe, test } from 'vitest';
import { collect } from '../../collect.ts';
import type { Attempt } from '../../collect.ts';
import { anthropic } from '../../wires/anthropic/wire.ts';
import { gemini } from '../../wires/gemini/wire.ts';
import { AnswerStream } from '../../transport/answer-stream.ts';
import type { Wire } from '../../transport/wire.ts';
import { argumentsObject } from '../../wires/acceptable-history.ts';
import { ollama } from '../../wires/ollama/wire.ts';
import { openAiChat } from '../../wires/openai-chat/wire.ts';
import { openAiResponses } from '../../wires/openai-responses/wire.ts';
import type { ModelDelta, ModelDeltas } from '../../provider/port.ts';
import { messagesEndpoint } from '../../wires/anthropic/serve/endpoint.ts';
import type { TranslatedDelta } from '../../provider/port.ts';
import type { Endpoint, Question } from './endpoint.ts';
import { geminiEndpoint } from '../../wires/gemini/serve/endpoint.ts';
import { chatEndpoint } from '../../wires/openai-chat/serve/endpoint.ts';
import { responsesEndpoint } from '../../wires/openai-responses/serve/endpoint.ts';
import { requestParts, streamOf, wholeOf } from './test-support/answers.ts';

const messages = [{ role: 'user', content: 'hi' }];
const endpoints: { name: string; endpoint: Endpoint; wire: Wire; question: Question; whole: Question }[] = [
  { endpoint: chatEndpoint, wire: openAiChat, body: { model: 'm', messages, stream_options: { include_usage: true } } },
  { endpoint: responsesEndpoint, wire: openAiResponses, body: { model: 'm', input: 'hi' } },
  { endpoint: messagesEndpoint, wire: anthropic, body: { model: 'm', max_tokens: 10, messages } },
  { endpoint: geminiEndpoint, wire: gemini, body: { contents: [{ parts: [{ text: 'hi' }] }] } },
].map(({ endpoint, wire, body }) => ({
  name: wire.name,
  endpoint,
  wire,
  question: endpoint.parse(
    { ...body, stream: true },
    requestParts('/v1beta/models/m:streamGenerateContent', 'alt=sse'),
  ),
  whole: endpoint.parse({ ...body, stream: false }, requestParts('/v1beta/models/m:generateContent')),
}));

const fixturesOf = (name: string): string[] => {
  const folder = new URL(`../../wires/${name}/fixtures/`, import.meta.url);
  return readdirSync(folder).map((file) => new URL(file, folder).pathname);
};
const recordings = [anthropic, gemini, ollama, openAiResponses].flatMap((wire) =>
  fixturesOf(wire.name).map((file) => ({ name: `${wire.name} ${file.split('/').at(-1)}`, wire, file })),
);

/** Returns null if the stream contains an error. */
function deltasOf(wire: Wire, bytes: Uint8Array): TranslatedDelta[] | null {
  const reader = wire.reader({ provider: 'acme', secret: null });
  const stream = new AnswerStream(wire.framing, reader, false);
  try {
    const deltas = [...stream.read(bytes), ...stream.end(), ...reader.end()];
    return deltas.at(-1)?.type === 'response-end' ? (deltas as TranslatedDelta[]) : null;
  } catch {
    return null;
  }
}

async function answerOf(deltas: Iterable<ModelDelta>): Promise<Attempt> {
  async function* play(): ModelDeltas {
    yield [...deltas];
  }
  return collect(play(), { provider: 'acme', effectId: 'task_t1_1_1', textBytesMax: 1_000_000 });
}

/**
 * Returns the content that all wire formats preserve: tool calls without ids, thinking that isn't redacted, and
 * arguments as objects, which some formats require.
 */
function meaningOf(attempt: Attempt, { name }: Wire): object {
  if (attempt.status === 'failed') return { error: attempt.error.message };
  const { text, toolCalls, thinking, finishReason, usage } = attempt;
  const said = thinking.filter((thought) => thought.text !== '');
  return {
    text,
    calls: toolCalls.map(({ name: tool, arguments: written }) => [tool, argumentsObject(written)]),
    thought: said
      .map((thought) => thought.text)
      .join('')
      .replaceAll('\n', ''),
    finishReason: wordless[name]?.includes(finishReason) === true ? 'stop' : finishReason,
    inputTokens: usage.inputTokens ?? 0,
    outputTokens: usage.outputTokens ?? 0,
  };
}

/** Finish reasons that a wire format can't express. */
const wordless: Readonly<Record<string, readonly string[]>> = {
  'openai-chat': ['other'],
  'openai-responses': ['other'],
  anthropic: ['other'],
};

const played = recordings.map(({ name, wire, file }) => ({ name, deltas: deltasOf(wire, readFileSync(file)) }));
const answers = played.flatMap(({ name, deltas }) => (deltas === null ? [] : [{ name, deltas }]));

test('only fixtures with errors are left out', () => {
  const left = played.filter(({ deltas }) => deltas === null).map(({ name }) => name);
  expect(left.filter((name) => !/ (error|overloaded|limited|quota)/.test(name))).toEqual([]);
});

describe.each(answers)('$name', ({ deltas }) => {
  test.each(endpoints)('as a stream of $name', async (to) => {
    const read = deltasOf(to.wire, Buffer.from(streamOf(to.question, deltas))) ?? [];
    expect(meaningOf(await answerOf(read), to.wire)).toEqual(meaningOf(await answerOf(deltas), to.wire));
  });

  test.each(endpoints)('as a whole answer of $name', async (to) => {
    const reader = to.wire.reader({ provider: 'acme', secret: null });
    const read = [...reader.whole(wholeOf(to.whole, deltas)), ...reader.end()];
    expect(meaningOf(await answerOf(read), to.wire)).toEqual(meaningOf(await answerOf(deltas), to.wire));
  });
});
