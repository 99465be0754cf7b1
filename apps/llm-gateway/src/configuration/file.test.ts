import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gatewayOptionsFrom } from '../index.ts';

let folder: string;
let files = 0;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'coppice-gateway-file-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function optionsOf(text: string, environment: NodeJS.ProcessEnv = {}) {
  const file = path.join(folder, `gateway-${++files}.yaml`);
  await writeFile(file, text);
  return gatewayOptionsFrom({ ...environment, COPPICE_GATEWAY_CONFIG: file });
}
async function complaintOf(text: string, environment: NodeJS.ProcessEnv = {}): Promise<string> {
  const error: unknown = await optionsOf(text, environment).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code: 'configuration' });
  return (error as Error).message.replaceAll(path.join(folder, `gateway-${files}.yaml`), 'FILE');
}
const providerServer = (options: Awaited<ReturnType<typeof optionsOf>>, name: string) =>
  options.providerServers?.find((each) => each.name === name);

test('the example file is read as its comments state', () => {
  const example = path.resolve(import.meta.dirname, '../../../../deploy/gateway.example.yaml');
  const options = gatewayOptionsFrom({
    COPPICE_GATEWAY_CONFIG: example,
    COPPICE_GATEWAY_KEY_GROQ: 'groq-key',
    OPENAI_API_KEY: 'openai-key',
  });
  expect(options).toMatchObject({
    aliases: [
      { name: 'fast', candidates: expect.arrayContaining(['openai/gpt-5-mini']), strategy: 'order' },
      { name: 'strong', strategy: 'price' },
    ],
    prices: [
      { model: 'local/*', input: 0, output: 0 },
      { cachedInput: 0.59 },
      { cacheWriteHourInput: 2 },
      { audioInput: 1 },
    ],
    patience: { firstEventMsMax: 300_000, idleMsMax: 120_000, totalMsMax: 3_600_000 },
    retry: { attemptsMax: 4 },
    cache: { ttlMs: 600_000, entryBytesMax: 65_536 },
    tenantLimits: [
      { tenant: 'acme', costUsd: 50, per: 'month' },
      { tenant: '*', tokens: 5_000_000, per: 'day' },
    ],
  });
  expect(options.providerServers?.map(({ name }) => name).slice(0, 3)).toEqual(['openai', 'groq', 'local']);
  expect(providerServer(options, 'openai')).toMatchObject({
    key: 'openai-key',
    concurrency: 32,
    wire: { name: 'openai-chat' },
  });
  expect(providerServer(options, 'groq')).toMatchObject({ key: 'groq-key', headers: { 'x-team': 'coppice' } });
  expect(providerServer(options, 'local')).toMatchObject({ key: null, keyRequired: null, wire: { name: 'ollama' } });
  // Providers of the environment that the file doesn't name still exist.
  expect(providerServer(options, 'anthropic')).toBeDefined();
});

test('no answer is cached unless the file sets the time', async () => {
  expect(await optionsOf('')).not.toHaveProperty('cache');
  expect(await optionsOf('cache: { ttl: 1h }')).toMatchObject({ cache: { ttlMs: 3_600_000, entryBytesMax: 262_144 } });
  expect(await complaintOf('cache: {}')).toContain('FILE:1:1: cache.ttl: expected');
  for (const ttl of ['10', '999ms', '31d', '0s']) {
    const complaint = await complaintOf(`cache:\n  ttl: ${ttl}`);
    expect(complaint).toContain('FILE:2:3: cache.ttl: expected');
    expect(complaint).toContain(ttl);
  }
  expect(await complaintOf('cache: { ttl: 1h, entryBytes: 300000 }')).toContain('cache.entryBytes: expected');
});

test('the environment is sufficient without a file, and an empty file changes nothing', async () => {
  const environment = { OPENAI_API_KEY: 'k' };
  const without = gatewayOptionsFrom(environment);
  expect(providerServer(without, 'openai')).toMatchObject({ key: 'k' });
  expect(providerServer(await optionsOf('', environment), 'openai')).toMatchObject({ key: 'k' });
});

test('a key is read from a file next to the configuration, or from a variable, and an error names the one that is missing', async () => {
  await writeFile(path.join(folder, 'acme.key'), 'from-file\n');
  const provider = (key: string) =>
    `providers: { acme: { wire: anthropic, baseUrl: http://127.0.0.1:9, key: ${key} } }`;
  expect(providerServer(await optionsOf(provider('{ file: acme.key }')), 'acme')?.key).toBe('from-file');
  const variable = provider('{ variable: COPPICE_GATEWAY_KEY_ACME }');
  expect(providerServer(await optionsOf(variable, { COPPICE_GATEWAY_KEY_ACME: 'k' }), 'acme')?.key).toBe('k');
  expect(providerServer(await optionsOf(variable), 'acme')).toMatchObject({
    key: null,
    keyRequired: 'COPPICE_GATEWAY_KEY_ACME',
  });
  const complaint = await complaintOf(provider('{ file: none.key }'));
  expect(complaint).toMatch(/^FILE:1:\d+: providers\.acme\.key: expected a readable file/);
  expect(complaint).toMatch(new RegExp(`received the name of one that is not there in ${folder}$`));
});

test('a key from the environment is not sent to another address', async () => {
  const options = await optionsOf('providers: { openai: { baseUrl: http://127.0.0.1:9/v1 } }', { OPENAI_API_KEY: 'k' });
  expect(providerServer(options, 'openai')).toMatchObject({ key: null, keyRequired: null });
});

describe('the error names the place of an invalid value:', () => {
  test.each([
    ['aliases: {}\nfallbacks: []', 'FILE:2:1: fallbacks: expected no such field, received []'],
    [
      'aliases:\n  fast:\n    candidates: [none/x]',
      'FILE:3:18: aliases.fast.candidates[0]: expected a model of one of the providers scripted, ',
    ],
    [
      'aliases:\n  fast:\n    candidates: [gpt]',
      'FILE:3:18: aliases.fast.candidates[0]: expected provider/model, received "gpt"',
    ],
    ['aliases:\n  fast:\n    candidates: []', 'FILE:3:5: aliases.fast.candidates: expected'],
    [
      'aliases: { fast: { candidates: [openai/x], strategy: best } }',
      'aliases.fast.strategy: expected one of order, price, received "best"',
    ],
    [
      'aliases: { Bad Name: { candidates: [openai/x] } }',
      'FILE:1:12: aliases.Bad Name: expected a name of a-z, 0-9 and -, at most 64, received "Bad Name"',
    ],
    [
      'limits: { tenants: { B A: { tokens: 1, per: day } } }',
      'limits.tenants.B A: expected a tenant: lower-case letters, digits and dashes, at most 63, received "B A"',
    ],
    [
      'limits: { tenants: { acme: { per: day } } }',
      'limits.tenants.acme: expected an amount: tokens, costUsd or both, received {"per":"day"}',
    ],
    ['cache: { ttl: 10 }', 'cache.ttl: expected a duration such as 90s, 10m or 2h, received 10'],
    ['aliases: {}\naliases: {}', 'FILE:2:1: expected YAML, received what is none: Map keys must be unique'],
    [
      'providers:\n  acme: { wire: ollama, baseUrl: "http://h", key: { variable: ACME_KEY } }',
      'providers.acme.key.variable: expected the name of a variable: COPPICE_GATEWAY_KEY_…, or a vendor\'s own such as OPENAI_API_KEY, received "ACME_KEY"',
    ],
    [
      'providers:\n  acme:\n    wire: soap',
      'FILE:3:5: providers.acme.wire: expected one of openai-chat, openai-responses, anthropic, gemini, ollama, received "soap"',
    ],
    [
      'providers:\n  acme:\n    wire: ollama',
      'FILE:2:3: providers.acme.baseUrl: expected one, since no vendor has this name, received nothing',
    ],
    [
      'providers:\n  acme: { wire: ollama, baseUrl: "ftp://x" }',
      'FILE:2:25: providers.acme.baseUrl: expected an address such as http://127.0.0.1:11434/v1, without user or password, received "ftp://x"',
    ],
    [
      'prices:\n  - { model: acme/x, input: 1, output: 2 }',
      'FILE:2:7: prices[0].model: expected a model of one of the providers scripted, ',
    ],
    [
      'prices:\n  - { model: gpt, input: 1, output: 2 }',
      'FILE:2:7: prices[0].model: expected provider/model, where * stands for any text, received "gpt"',
    ],
    ['prices:\n  - { model: a/b, input: -1, output: 2 }', 'FILE:2:19: prices[0].input: expected'],
    ['limits: { idle: 5 }', 'FILE:1:11: limits.idle: expected a duration such as 90s, 10m or 2h, received 5'],
    ['limits: { idle: soon }', 'limits.idle: expected a duration such as 90s, 10m or 2h, received "soon"'],
    ['aliases: [\n', 'FILE:2:1: expected YAML, received'],
  ])('%j', async (text, complaint) => {
    expect(await complaintOf(text)).toContain(complaint);
  });

  test.each([
    'providers: { acme: { wire: ollama, baseUrl: http://127.0.0.1:9, key: sk-secret } }',
    'providers: { acme: { wire: ollama, baseUrl: http://127.0.0.1:9, key: { value: sk-secret } } }',
    'providers: { acme: { wire: ollama, baseUrl: http://127.0.0.1:9, key: { variable: sk-secret } } }',
    'providers: { acme: { wire: ollama, baseUrl: http://127.0.0.1:9, key: { file: sk-secret } } }',
    'providers: { acme: { wire: ollama, baseUrl: "ftp://127.0.0.1:9/sk-secret" } }',
    'providers: { acme: { wire: ollama, baseUrl: sk-secret } }',
    'providers: { acme: { wire: ollama, baseUrl: http://127.0.0.1:9, headers: { authorization: sk-secret } } }',
    'providers: { acme: { wire: ollama, baseUrl: http://me:sk-secret@127.0.0.1:9 } }',
  ])('a key in the file is rejected, and the error does not contain it: %j', async (text) => {
    const complaint = await complaintOf(text);
    expect(complaint).toMatch(/^FILE:1:\d+: providers\.acme\./);
    expect(complaint).not.toContain('secret');
  });

  test('a missing file is reported', () => {
    expect(() => gatewayOptionsFrom({ COPPICE_GATEWAY_CONFIG: path.join(folder, 'none.yaml') })).toThrow(
      /^COPPICE_GATEWAY_CONFIG: expected a readable file .* \(ENOENT\)$/,
    );
  });
});
