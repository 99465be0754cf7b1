import { Bus } from '@coppice/bus';
import type { ContentPart, ModelMessage, Owner, TurnOutput } from '@coppice/contracts';
import { buckets } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Artifacts } from '../../artifacts.ts';
import { Conversations, answerMessage, emptyConversation } from './conversations.ts';
import type { ConversationLimits } from './conversations.ts';
import { gatewayLimits } from '../../limits.ts';
import type { ProviderMessage } from '../../provider/port.ts';
import { Transcript } from './transcript.ts';

let nats: NatsServer;
let bus: Bus;
let transcript: Transcript;
beforeAll(async () => {
  nats = await startNatsServer({ auth: true });
  bus = await Bus.connect({ ...nats.connection, name: 'test' });
  await bus.ensureResources();
  transcript = new Transcript(bus);
});
afterAll(async () => {
  await bus.close();
  await nats.stop();
});

const ownerOf = (taskId: string): Owner => ({ tenant: 'default', runId: 'r1', taskId });
const text = (value: string): ContentPart => ({ type: 'text', text: value });
const user = (...content: ContentPart[]): ModelMessage => ({ role: 'user', content });

/**
 * Returns an id that contains the task, as effect ids do. If two tasks used the same id, JetStream would drop the
 * second message.
 */
const idOf = (taskId: string, name: string) => `task_${taskId}_${name}`;

async function store(
  taskId: string,
  name: string,
  continued: string | null,
  messages: ModelMessage[],
  answer: Partial<TurnOutput> = {},
): Promise<number> {
  const effectId = idOf(taskId, name);
  return transcript.append(
    {
      effectId,
      owner: ownerOf(taskId),
      model: 'acme/1',
      continues: continued === null ? null : idOf(taskId, continued),
      request: { text: JSON.stringify(messages) },
      output: {
        turnId: effectId,
        text: { text: `answer to ${name}` },
        toolCalls: [],
        finishReason: 'stop',
        usage: { inputTokens: 1, outputTokens: 1, costUsd: null },
        responseModel: 'acme-1',
        latencyMs: 1,
        ...answer,
      },
      time: new Date().toISOString(),
    },
    new AbortController().signal,
  );
}

const fresh = (limits: Partial<ConversationLimits> = {}) =>
  new Conversations(transcript, new Artifacts(bus), { ...gatewayLimits, linkReadPauseMs: 1, ...limits });

/** Returns `role: text` for each message. */
const textOf = (messages: readonly ProviderMessage[]) =>
  messages.map(({ role, content }) => {
    const parts = content.map((part) => {
      if (part.type === 'text' || part.type === 'thinking') return part.text;
      if (part.type === 'image') return 'an image';
      return part.type === 'tool-call' ? `${part.name}(${part.arguments})` : `${part.callId}=${part.content}`;
    });
    return `${role}: ${parts.join(' ')}`;
  });

test('the chain is followed back to its beginning, even if the task had other conversations', async () => {
  await store('chain', 'e1', null, [user(text('first'))]);
  await store('chain', 'x1', null, [user(text('another'))]);
  await store('chain', 'e2', 'e1', [user(text('second'))], {
    text: { text: '' },
    toolCalls: [{ id: 'c1', name: 'read', arguments: { text: '{"p":1}' } }],
  });
  await store('chain', 'x2', 'x1', [user(text('another'))]);
  await store('chain', 'e2b', 'e1', [user(text('a branch'))]);
  const result: ContentPart = {
    type: 'tool-result',
    callId: 'c1',
    name: 'read',
    content: { text: 'abc' },
    isError: false,
  };
  await store('chain', 'e3', 'e2', [{ role: 'tool', content: [result] }], { text: { text: '' } });
  const conversation = await fresh().upTo(ownerOf('chain'), idOf('chain', 'e3'));
  expect(textOf(conversation.messages)).toEqual([
    'user: first',
    'assistant: answer to e1',
    'user: second',
    'assistant: read({"p":1})',
    'tool: c1=abc',
    'assistant: ',
  ]);
  expect(conversation.turns).toBe(3);
  expect(conversation.bytes).toBe('firstanswer to e1second{"p":1}abc'.length);
});

test('the conversation before the first turn is empty', async () => {
  expect(await fresh().upTo(ownerOf('none'), null)).toBe(emptyConversation);
});

test('the error names a missing turn', async () => {
  await store('broken', 'e2', 'e1', [user(text('second'))]);
  const error = { code: 'not-found', message: 'turn task_broken_e1 is not in the transcript of task broken' };
  await expect(fresh().upTo(ownerOf('broken'), idOf('broken', 'e2'))).rejects.toMatchObject(error);
  await expect(fresh().upTo(ownerOf('broken'), idOf('broken', 'e9'))).rejects.toMatchObject({
    message: expect.stringContaining('task_broken_e9'),
  });
});

test('a turn of another task is not found, even if it is cached', async () => {
  await store('mine', 'e1', null, [user(text('secret'))]);
  const conversations = fresh();
  await conversations.upTo(ownerOf('mine'), idOf('mine', 'e1'));
  await expect(conversations.upTo(ownerOf('other'), idOf('mine', 'e1'))).rejects.toMatchObject({ code: 'not-found' });
  const otherTenant = { ...ownerOf('mine'), tenant: 'other' };
  await expect(conversations.upTo(otherTenant, idOf('mine', 'e1'))).rejects.toMatchObject({ code: 'not-found' });
});

test('an entry that becomes readable a moment later is found', async () => {
  const found = fresh({ linkReadsMax: 50, linkReadPauseMs: 20 }).upTo(ownerOf('late'), idOf('late', 'e1'));
  await store('late', 'e1', null, [user(text('first'))]);
  expect(textOf((await found).messages)).toEqual(['user: first', 'assistant: answer to e1']);
});

test('a conversation that is circular or too long is rejected', async () => {
  await store('circle', 'e1', 'e2', [user(text('first'))]);
  await store('circle', 'e2', 'e1', [user(text('second'))]);
  await expect(fresh().upTo(ownerOf('circle'), idOf('circle', 'e2'))).rejects.toMatchObject({ code: 'limit-exceeded' });
  for (let n = 1; n <= 4; n++) await store('long', `e${n}`, n === 1 ? null : `e${n - 1}`, [user(text('x'))]);
  const limits = { conversationTurnsMax: 3 };
  await expect(fresh(limits).upTo(ownerOf('long'), idOf('long', 'e4'))).rejects.toMatchObject({
    code: 'limit-exceeded',
  });
  // A conversation of exactly the maximum length can't be continued, so it is rejected, too.
  await expect(fresh(limits).upTo(ownerOf('long'), idOf('long', 'e3'))).rejects.toThrow(
    'a conversation of 3 turns, the limit',
  );
  expect((await fresh(limits).upTo(ownerOf('long'), idOf('long', 'e2'))).turns).toBe(2);
});

test('texts, arguments and results by reference are read, and count against the limit', async () => {
  const objects = await bus.objects(buckets.artifacts);
  for (const [name, value] of Object.entries({ prompt: 'a prompt', said: 'said', args: '{"a":1}', result: 'result' }))
    await objects.put(`large/${name}`, new TextEncoder().encode(value));
  const result: ContentPart = {
    type: 'tool-result',
    callId: 'c0',
    name: 'run',
    content: { artifact: 'large/result' },
    isError: false,
  };
  await store('large', 'e1', null, [user({ type: 'text-artifact', artifact: 'large/prompt' }, result)], {
    text: { artifact: 'large/said' },
    toolCalls: [{ id: 'c1', name: 'run', arguments: { artifact: 'large/args' } }],
  });
  const { messages, bytes } = await fresh().upTo(ownerOf('large'), idOf('large', 'e1'));
  expect(textOf(messages)).toEqual(['user: a prompt c0=result', 'assistant: said run({"a":1})']);
  expect(bytes).toBe('a promptresultsaid{"a":1}'.length);
  await expect(fresh({ promptBytesMax: bytes - 1 }).upTo(ownerOf('large'), idOf('large', 'e1'))).rejects.toMatchObject({
    code: 'limit-exceeded',
    message: `the conversation is over the limit of ${bytes - 1} bytes`,
  });
  await store('large', 'e2', 'e1', [user({ type: 'text-artifact', artifact: 'large/none' })]);
  await expect(fresh().upTo(ownerOf('large'), idOf('large', 'e2'))).rejects.toMatchObject({ code: 'not-found' });
});

test('a cached conversation is not read again, equals the stored one, and is in memory once', async () => {
  const conversations = fresh();
  await store('kept', 'e1', null, [user(text('first'))]);
  const first = await conversations.upTo(ownerOf('kept'), idOf('kept', 'e1'));
  expect(await conversations.upTo(ownerOf('kept'), idOf('kept', 'e1'))).toBe(first);
  const sequence = await store('kept', 'e2', 'e1', [user(text('second'))]);
  const prompt: ProviderMessage = { role: 'user', content: [{ type: 'text', text: 'second' }] };
  const second = {
    messages: [...first.messages, prompt, answerMessage({ text: 'answer to e2', toolCalls: [], thinking: [] })],
    bytes: first.bytes + 'secondanswer to e2'.length,
    turns: 2,
  };
  conversations.remember(ownerOf('kept'), { turnId: idOf('kept', 'e2'), sequence, conversation: second });
  expect(conversations.cached).toEqual({ conversations: 1, bytes: second.bytes });
  expect(await conversations.upTo(ownerOf('kept'), idOf('kept', 'e2'))).toBe(second);
  // Stands for another process, whose cache is empty.
  expect(await fresh().upTo(ownerOf('kept'), idOf('kept', 'e2'))).toEqual(second);
});

test('only the entries that other processes added are read, and a branch, an earlier turn and another conversation are correct, too', async () => {
  await store('shared', 'e1', null, [user(text('first'))]);
  await store('shared', 'e2', 'e1', [user(text('second'))]);
  const conversations = fresh();
  const two = await conversations.upTo(ownerOf('shared'), idOf('shared', 'e2'));
  await store('shared', 'e3', 'e2', [user(text('third'))]);
  await store('shared', 'x1', null, [user(text('another'))]);
  await store('shared', 'e2b', 'e1', [user(text('a branch'))]);
  await store('shared', 'e4', 'e3', [user(text('fourth'))]);
  const four = await conversations.upTo(ownerOf('shared'), idOf('shared', 'e4'));
  // The cached messages are reused.
  expect(four.messages[0]).toBe(two.messages[0]);
  for (const name of ['e4', 'e2b', 'x1', 'e3', 'e1', 'e4', 'e2b']) {
    const turnId = idOf('shared', name);
    expect(await conversations.upTo(ownerOf('shared'), turnId)).toEqual(await fresh().upTo(ownerOf('shared'), turnId));
  }
  expect(conversations.cached.conversations).toBe(1);
});

test('the least recently used conversations are dropped if there are too many or they are too large', async () => {
  for (const task of ['c1', 'c2', 'c3']) await store(task, 'e1', null, [user(text('x'.repeat(100)))]);
  const bytes = 100 + 'answer to e1'.length;
  for (const limits of [{ cachedConversationsMax: 2 }, { cachedBytesMax: 2 * bytes }]) {
    const conversations = fresh(limits);
    const first = await conversations.upTo(ownerOf('c1'), idOf('c1', 'e1'));
    const second = await conversations.upTo(ownerOf('c2'), idOf('c2', 'e1'));
    await conversations.upTo(ownerOf('c1'), idOf('c1', 'e1'));
    await conversations.upTo(ownerOf('c3'), idOf('c3', 'e1'));
    expect(conversations.cached).toEqual({ conversations: 2, bytes: 2 * bytes });
    expect(await conversations.upTo(ownerOf('c1'), idOf('c1', 'e1'))).toBe(first);
    expect(await conversations.upTo(ownerOf('c2'), idOf('c2', 'e1'))).not.toBe(second);
  }
  const none = fresh({ cachedBytesMax: bytes - 1 });
  await none.upTo(ownerOf('c1'), idOf('c1', 'e1'));
  expect(none.cached).toEqual({ conversations: 0, bytes: 0 });
});
