import { createHash, randomBytes } from 'node:crypto';
import { Bus } from '@coppice/bus';
import { api, artifactNames, artifactPartBytesMax, buckets, tenantOfArtifact } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { endpoints } from './api.ts';
import { Artifacts, artifactLimits } from './artifacts.ts';

let server: NatsServer;
let bus: Bus;
const owner = { tenant: 'acme', taskId: 'taaaaaaaaaaaaaaaa' };
const name = artifactNames.log(owner, 'task_acme_taaaaaaaaaaaaaaaa_0_7', 'cafe');
const content = randomBytes(2 * artifactPartBytesMax + 12_345);
const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

beforeAll(async () => {
  server = await startNatsServer();
  bus = await Bus.connect({ ...server.connection, name: 'artifacts-test' });
  await bus.ensureResources();
  await (await bus.objects(buckets.artifacts)).put(name, content);
  await bus.serve({ name: 'orchestrator', version: '0.0.0', description: 'for this test', endpoints: endpoints(bus) });
});
afterAll(async () => {
  await bus.close();
  await server.stop();
});

const ask = (tenant: string, input: { name: string; offset?: number; length?: number }) =>
  bus.call(api.artifactGet, { tenant }, input);

test('an artifact is read part by part, each at most as large as requested', async () => {
  for (const length of [undefined, 100_000, artifactPartBytesMax]) {
    const parts: Buffer[] = [];
    for (let offset: number | null = 0; offset !== null;) {
      const part = await ask('acme', { name, offset, ...(length === undefined ? {} : { length }) });
      expect(part).toMatchObject({ totalBytes: content.length, sha256: hashOf(content) });
      parts.push(Buffer.from(part.data, 'base64'));
      expect(parts.at(-1)?.length).toBeLessThanOrEqual(length ?? artifactPartBytesMax);
      offset = part.nextOffset;
    }
    expect(Buffer.concat(parts).equals(content)).toBe(true);
  }
});

test('the largest part is far below the size limit of a message', async () => {
  const { data } = await bus.request(`coppice.api.acme.artifact.get`, { name }, { deadlineMs: 10_000 });
  expect(data.length).toBeLessThan(bus.payloadBytesMax / 2);
});

test('an offset in the middle, at the end, and after the end', async () => {
  expect(await ask('acme', { name, offset: 7, length: 5 })).toMatchObject({
    data: content.subarray(7, 12).toString('base64'),
    nextOffset: 12,
  });
  expect(await ask('acme', { name, offset: content.length - 1, length: 5 })).toMatchObject({ nextOffset: null });
  expect(await ask('acme', { name, offset: content.length })).toMatchObject({ data: '', nextOffset: null });
  await expect(ask('acme', { name, offset: content.length + 1 })).rejects.toMatchObject({
    code: 'invalid-request',
    details: { issues: [{ field: 'offset', expected: `at most ${content.length}, which is the end` }] },
  });
});

test.each([
  [{ name, offset: -1 }, 'offset'],
  [{ name, offset: 0.5 }, 'offset'],
  [{ name, length: 0 }, 'length'],
  [{ name, length: artifactPartBytesMax + 1 }, 'length'],
  [{ name: '' }, 'name'],
  [{ name: '../log/acme/x' }, 'name'],
  [{ name: 'log/acme' }, 'name'],
  [{ name: 'log/acme/../other/x' }, 'name'],
  [{ name: 'log//acme/x' }, 'name'],
  [{ name: 'log/acme/x\n' }, 'name'],
])('%j is rejected because of its %s', async (input, field) => {
  const reply = await bus.request('coppice.api.acme.artifact.get', input, { deadlineMs: 5_000 });
  expect(JSON.parse(new TextDecoder().decode(reply.data))).toMatchObject({
    error: { code: 'invalid-request', details: { issues: [{ field }] } },
  });
});

test("another tenant's artifact is reported like one that doesn't exist", async () => {
  const absent = name.replace('cafe', 'beef');
  const refusal = (tenant: string, requested: string) =>
    ask(tenant, { name: requested }).then(
      () => 'answered',
      (error: { code: string; message: string }) => `${error.code}: ${error.message.replace(requested, 'NAME')}`,
    );
  const expected = 'not-found: there is no artifact NAME';
  expect(await refusal('acme', absent)).toBe(expected);
  expect(await refusal('other', name)).toBe(expected);
  // The artifact is now cached. `acm` is a prefix of its owner's name.
  await ask('acme', { name });
  expect(await refusal('other', name)).toBe(expected);
  expect(await refusal('acm', name)).toBe(expected);
  expect(await refusal('other', name.replace('/acme/', '/other/'))).toBe(expected);
});

test('an empty artifact has a digest, too', async () => {
  const empty = artifactNames.text(owner, 'e0');
  await (await bus.objects(buckets.artifacts)).put(empty, new Uint8Array());
  expect(await ask('acme', { name: empty })).toEqual({
    data: '',
    nextOffset: null,
    totalBytes: 0,
    sha256: hashOf(new Uint8Array()),
  });
});

test('every generated name contains its tenant; the names equal those in existing stores', () => {
  const { tenant, taskId } = owner;
  const names = [
    artifactNames.run(tenant, 'raaaaaaaaaaaaaaaa', 'a'.repeat(64)),
    artifactNames.prompt(tenant, 'raaaaaaaaaaaaaaaa', taskId),
    artifactNames.text(owner, 'b'.repeat(64)),
    name,
  ];
  expect(names.map(tenantOfArtifact)).toEqual(names.map(() => tenant));
  expect(names).toEqual([
    `run/acme/raaaaaaaaaaaaaaaa/${'a'.repeat(64)}`,
    'run/acme/raaaaaaaaaaaaaaaa/prompt/taaaaaaaaaaaaaaaa',
    `text/acme/taaaaaaaaaaaaaaaa/${'b'.repeat(64)}`,
    'log/acme/taaaaaaaaaaaaaaaa/task_acme_taaaaaaaaaaaaaaaa_0_7/cafe',
  ]);
});

test('bundles are read only from the bundle store, and other artifacts never from it', async () => {
  const bundle = artifactNames.bundle(owner, 'c'.repeat(64), new Date());
  expect(tenantOfArtifact(bundle)).toBe('acme');
  await (await bus.objects(buckets.artifacts)).put(bundle, Buffer.from('of an earlier version'));
  await expect(ask('acme', { name: bundle })).rejects.toMatchObject({ code: 'not-found' });
  const bundles = await bus.objects(buckets.bundles);
  await bundles.put(bundle, Buffer.from('bundle'));
  expect(await ask('acme', { name: bundle })).toMatchObject({ data: Buffer.from('bundle').toString('base64') });
  const log = artifactNames.log(owner, 'task_acme_taaaaaaaaaaaaaaaa_0_8', 'cafe');
  await bundles.put(log, Buffer.from('no bundle'));
  await expect(ask('acme', { name: log })).rejects.toMatchObject({ code: 'not-found' });
});

test('many concurrent reads are answered, and those over the limit are rejected with unavailable', async () => {
  const artifacts = new Artifacts(bus);
  const names = Array.from({ length: 20 }, (_, index) => artifactNames.text(owner, `many-${index}`));
  const store = await bus.objects(buckets.artifacts);
  for (const each of names) await store.put(each, Buffer.from(each));
  const whole = (requested: string) =>
    artifacts.part('acme', { name: requested, offset: 0, length: artifactPartBytesMax });
  const answers = await Promise.all([...names, ...names].map(whole));
  expect(answers.map(({ data }) => Buffer.from(data, 'base64').toString())).toEqual([...names, ...names]);
  const more = artifactLimits.readsAtOnce + artifactLimits.waitingMax + 5;
  const absent = Array.from({ length: more }, (_, index) => whole(artifactNames.text(owner, `absent-${index}`)));
  const codes = (await Promise.allSettled(absent)).map((each) =>
    each.status === 'rejected' ? (each.reason as { code: string }).code : 'answered',
  );
  expect(codes.filter((code) => code === 'unavailable').length).toBe(5);
  expect(codes.filter((code) => code === 'not-found').length).toBe(more - 5);
  // After the rejections, further reads are admitted again.
  expect(await whole(names[0] ?? '')).toMatchObject({ nextOffset: null });
  expect(await new Artifacts(bus).part('acme', { name, offset: 0, length: 1 })).toMatchObject({ nextOffset: 1 });
});
