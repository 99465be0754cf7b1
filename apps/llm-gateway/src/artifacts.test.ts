import { Bus, busLimits } from '@coppice/bus';
import { artifactNames, buckets } from '@coppice/contracts';
import type { ModelMessage } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Artifacts } from './artifacts.ts';
import { ByteBudget } from './byte-budget.ts';

let server: NatsServer;
let bus: Bus;
/** Number of reads of an object's content. */
let readings = 0;
const owner = { tenant: 'acme', taskId: 'taaaaaaaaaaaaaaaa' };
const signal = new AbortController().signal;

beforeAll(async () => {
  server = await startNatsServer();
  bus = await Bus.connect({ ...server.connection, name: 'artifacts-test' });
  await bus.ensureResources();
  bus.subscribeCore(`$JS.API.CONSUMER.CREATE.OBJ_${buckets.artifacts}.>`, () => readings++);
});
beforeEach(() => {
  readings = 0;
});
afterAll(async () => {
  await bus.close();
  await server.stop();
});

async function stored(hash: string, content: string): Promise<string> {
  const name = artifactNames.text(owner, hash);
  await (await bus.objects(buckets.artifacts)).put(name, Buffer.from(content));
  return name;
}
const naming = (...names: string[]): ModelMessage[] => [
  { role: 'user', content: names.map((artifact) => ({ type: 'text-artifact', artifact })) },
];

test('an artifact that a request references many times is read once, and its bytes count each time', async () => {
  const name = await stored('a1', 'abc');
  const messages = [...naming(...Array.from({ length: 1_000 }, () => name)), ...naming(name)];
  const budget = new ByteBudget('the prompt', 4_000);
  const read = await new Artifacts(bus).read(messages, { owner, budget, signal });
  await bus.flush();
  expect(readings).toBe(1);
  expect(read.map(({ content }) => content.length)).toEqual([1_000, 1]);
  expect(read[1]?.content).toEqual([{ type: 'text', text: 'abc' }]);
  expect(budget.taken).toBe(3 * 1_001);
  await expect(new Artifacts(bus).read(messages, { owner, budget, signal })).rejects.toMatchObject({
    code: 'limit-exceeded',
  });
});

test('an artifact that does not fit the budget is not read', async () => {
  const name = await stored('a2', 'x'.repeat(1_000));
  const budget = new ByteBudget('the prompt', 999);
  await expect(new Artifacts(bus).text({ artifact: name }, { owner, budget, signal })).rejects.toMatchObject({
    code: 'limit-exceeded',
  });
  await bus.flush();
  expect(readings).toBe(0);
  expect(budget.taken).toBe(0);
});

test('several large artifacts are read completely at the same time', async () => {
  const size = 3 * busLimits.objectChunksAtOnce * 128 * 1024;
  const names = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((each) => stored(each, each.repeat(size))));
  const artifacts = new Artifacts(bus);
  const budget = new ByteBudget('the prompt', 10 * size);
  const read = await Promise.all(names.map((name) => artifacts.text({ artifact: name }, { owner, budget, signal })));
  expect(read.map((text) => [text[0], text.length])).toEqual(['a', 'b', 'c', 'd', 'e'].map((each) => [each, size]));
});
