import { appendFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { manualClock, temporaryFolder } from '@coppice/testing';
import type { TemporaryFolder } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ModelDeltas, ProviderMessage } from '../port.ts';
import { countInFile, countInMemory, readCount } from './count.ts';
import { scriptedProvider } from './provider.ts';

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder('scripted');
  await writeFile(
    path.join(folder.path, 'plan.yaml'),
    `
rules:
  - { name: limited, when: { contains: limited }, turns: [{ text: at last, fault: { kind: limited, retryAfterMs: 7, times: 2 } }] }
  - { name: broken, when: { contains: broken }, turns: [{ fault: { kind: error, message: no more money, retryable: false } }] }
  - { name: stall, when: { contains: stall }, turns: [{ fault: { kind: stall } }] }
  - { name: cut, when: { contains: cut }, turns: [{ text: abcdef, fault: { kind: cut } }] }
  - { name: slow, when: { contains: slow }, turns: [{ text: late, latencyMs: 60000 }] }
  - { name: long, when: { contains: long }, turns: [{ textFile: long.txt }] }
  - { name: priced, when: { contains: priced }, turns: [{ text: x, usage: { inputTokens: 3, outputTokens: 2, costUsd: 0.5 } }] }
  - name: agent
    when: { contains: agent }
    turns:
      - { text: I look., toolCalls: [{ name: read, arguments: { path: a.txt }, id: c1 }, { name: run, arguments: '{"command": ' }, { name: list }] }
      - { toolCalls: [{ name: finish, arguments: { summary: done } }], usage: { inputTokens: 90000 } }
      - { toolCalls: [{ name: write, arguments: { content: abc } }, { name: list }], fault: { kind: cut } }
default: { turns: [{ text: one }, { text: two }] }
`,
  );
  await writeFile(path.join(folder.path, 'long.txt'), 'long '.repeat(2_000));
});
afterAll(() => folder.remove());

const message = (role: ProviderMessage['role'], text: string): ProviderMessage => ({
  role,
  content: [{ type: 'text', text }],
});
const clock = manualClock();
const provider = (count = countInMemory()) =>
  scriptedProvider({ scripts: { folders: [folder.path], anywhere: false }, count, clock });

function streamFrom(
  from: ReturnType<typeof provider>,
  prompt: string,
  settings: { taskId?: string; signal?: AbortSignal; history?: ProviderMessage[] } = {},
) {
  const { taskId = 't1', signal = new AbortController().signal, history = [] } = settings;
  return from.stream(
    { model: 'plan.yaml', messages: [message('user', prompt), ...history], tools: [], settings: {} },
    { signal, effectId: `task_${taskId}_1_1`, owner: { tenant: 'default', runId: 'r1', taskId } },
  );
}
const deltas = async (stream: ModelDeltas) => (await Array.fromAsync(stream)).flat();
const textOf = async (stream: ModelDeltas) =>
  (await deltas(stream)).map((delta) => (delta.type === 'text-delta' ? delta.text : '')).join('');

test('a turn is sent in the order of the port', async () => {
  expect(await deltas(streamFrom(provider(), 'priced'))).toEqual([
    { type: 'response-start', responseModel: 'plan.yaml' },
    { type: 'text-delta', text: 'x' },
    { type: 'usage', usage: { inputTokens: 3, outputTokens: 2, costUsd: 0.5 } },
    { type: 'response-end', finishReason: 'stop' },
  ]);
});

test('the same request gets the same answer, and the next turn the next one', async () => {
  const scripted = provider();
  expect(await textOf(streamFrom(scripted, 'hello'))).toBe('one');
  expect(await textOf(streamFrom(scripted, 'hello'))).toBe('one');
  expect(await textOf(streamFrom(scripted, 'hello', { history: [message('assistant', 'one')] }))).toBe('two');
});

test('a long text from a file is sent in pieces', async () => {
  const pieces = (await deltas(streamFrom(provider(), 'long'))).filter((delta) => delta.type === 'text-delta');
  expect(pieces).toHaveLength(3);
  expect(pieces.map((piece) => piece.text).join('')).toBe('long '.repeat(2_000));
});

test('a temporary fault is played as often as stated, separately for each task, across processes', async () => {
  const file = path.join(folder.path, 'count');
  for (const taskId of ['t1', 't2']) {
    for (let time = 0; time < 2; time++) {
      const fresh = provider(countInFile(file));
      await expect(textOf(streamFrom(fresh, 'limited', { taskId }))).rejects.toMatchObject({
        code: 'provider-limited',
        retryable: true,
        details: { retryAfterMs: 7 },
      });
    }
    expect(await textOf(streamFrom(provider(countInFile(file)), 'limited', { taskId }))).toBe('at last');
  }
  await appendFile(file, '{"event":"as');
  const lines = await readCount(file);
  expect(lines.map((line) => `${line.taskId} ${line.event}`)).toEqual([
    't1 requested',
    't1 requested',
    't1 requested',
    't1 answered',
    't2 requested',
    't2 requested',
    't2 requested',
    't2 answered',
  ]);
  expect(lines[0]).toEqual({
    event: 'requested',
    effectId: 'task_t1_1_1',
    runId: 'r1',
    taskId: 't1',
    script: 'plan.yaml',
    rule: 'limited',
    position: 0,
    time: clock.now().toISOString(),
  });
});

test('an error fault throws an error that states whether it is retryable', async () => {
  await expect(textOf(streamFrom(provider(), 'broken'))).rejects.toMatchObject({
    code: 'provider-failed',
    message: 'no more money',
    retryable: false,
  });
});

test('a cut answer ends without response-end', async () => {
  const cut = await deltas(streamFrom(provider(), 'cut'));
  expect(cut.map((delta) => delta.type)).toEqual(['response-start', 'text-delta', 'usage']);
  expect(cut[1]).toEqual({ type: 'text-delta', text: 'abc' });
});

test.each(['stall', 'slow'])('%s ends when aborted', async (prompt) => {
  const abort = new AbortController();
  const reading = textOf(streamFrom(provider(), prompt, { signal: abort.signal }));
  setTimeout(() => abort.abort(new Error('enough')), 20);
  await expect(reading).rejects.toThrow('enough');
  await expect(
    textOf(streamFrom(provider(), prompt, { signal: AbortSignal.abort(new Error('enough')) })),
  ).rejects.toThrow('enough');
});

test('a turn can make tool calls, with or without text, well-formed or not', async () => {
  const look = await deltas(streamFrom(provider(), 'agent'));
  expect(look).toEqual([
    { type: 'response-start', responseModel: 'plan.yaml' },
    { type: 'text-delta', text: 'I look.' },
    { type: 'tool-call-delta', call: 0, id: 'c1', name: 'read', arguments: '' },
    { type: 'tool-call-delta', call: 0, arguments: '{"path":"a.txt"}' },
    { type: 'tool-call-delta', call: 1, name: 'run', arguments: '' },
    { type: 'tool-call-delta', call: 1, arguments: '{"command": ' },
    { type: 'tool-call-delta', call: 2, name: 'list', arguments: '' },
    { type: 'tool-call-delta', call: 2, arguments: '{}' },
    { type: 'usage', usage: { inputTokens: 2, outputTokens: 10, costUsd: 0 } },
    { type: 'response-end', finishReason: 'tool-calls' },
  ]);
  const answered = [message('assistant', 'I look.')];
  const finish = await deltas(streamFrom(provider(), 'agent', { history: answered }));
  expect(finish.slice(1)).toEqual([
    { type: 'tool-call-delta', call: 0, name: 'finish', arguments: '' },
    { type: 'tool-call-delta', call: 0, arguments: '{"summary":"done"}' },
    { type: 'usage', usage: { inputTokens: 90_000, outputTokens: 5, costUsd: 0 } },
    { type: 'response-end', finishReason: 'tool-calls' },
  ]);
  const cut = await deltas(streamFrom(provider(), 'agent', { history: [...answered, ...answered] }));
  expect(cut.slice(1, -1)).toEqual([
    { type: 'tool-call-delta', call: 0, name: 'write', arguments: '' },
    { type: 'tool-call-delta', call: 0, arguments: '{"content' },
  ]);
  expect(cut.at(-1)?.type).toBe('usage');
});

test('the messages before the first answer select the rule', async () => {
  const history = [message('assistant', 'one'), message('tool', 'priced'), message('user', 'now the agent')];
  expect(await textOf(streamFrom(provider(), 'hello', { history }))).toBe('two');
});
