import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ConfigurationError } from '@coppice/service';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { gatewayOptionsFrom } from '../configuration.ts';
import { anthropic } from '../wires/anthropic/wire.ts';
import { gemini } from '../wires/gemini/wire.ts';
import { addressOf } from '../transport/provider-server.ts';
import { ollama } from '../wires/ollama/wire.ts';
import { openAiChat, openAiChatAt } from '../wires/openai-chat/wire.ts';
import { openAiResponses } from '../wires/openai-responses/wire.ts';

const providerServers = (environment: Record<string, string>) => gatewayOptionsFrom(environment).providerServers;

const openAi = {
  name: 'openai',
  wire: openAiChatAt('https://api.openai.com/v1'),
  baseUrl: 'https://api.openai.com/v1',
  key: null,
  keyRequired: 'OPENAI_API_KEY',
};
const responses = { ...openAi, name: 'openai-responses', wire: openAiResponses };
const google = {
  name: 'gemini',
  wire: gemini,
  baseUrl: 'https://generativelanguage.googleapis.com',
  key: null,
  keyRequired: 'GEMINI_API_KEY',
};
const claude = {
  name: 'anthropic',
  wire: anthropic,
  baseUrl: 'https://api.anthropic.com',
  key: null,
  keyRequired: 'ANTHROPIC_API_KEY',
};

test('the vendors exist by default, and require a key', () => {
  expect(providerServers({})).toEqual([openAi, responses, claude, google]);
  const set = { OPENAI_API_KEY: 'k1', ANTHROPIC_API_KEY: 'k2', GEMINI_API_KEY: 'k3' };
  expect(providerServers(set)).toEqual([
    { ...openAi, key: 'k1' },
    { ...responses, key: 'k1' },
    { ...claude, key: 'k2' },
    { ...google, key: 'k3' },
  ]);
});

test('the vendors require no key at another address', () => {
  const set = {
    OPENAI_BASE_URL: 'http://127.0.0.1:1234/v1/',
    ANTHROPIC_BASE_URL: 'http://127.0.0.1:1235',
    GEMINI_BASE_URL: 'http://127.0.0.1:1236',
  };
  const compatible = { baseUrl: 'http://127.0.0.1:1234/v1/', key: 'k1', keyRequired: null };
  expect(providerServers({ ...set, OPENAI_API_KEY: 'k1' })).toEqual([
    { ...openAi, ...compatible, wire: openAiChat },
    { ...responses, ...compatible },
    { ...claude, baseUrl: 'http://127.0.0.1:1235/', keyRequired: null },
    { ...google, baseUrl: 'http://127.0.0.1:1236/', keyRequired: null },
  ]);
});

test("Gemini's key may be in two variables, of which GEMINI_API_KEY takes precedence", () => {
  const keyOf = (environment: Record<string, string>) =>
    providerServers(environment)?.find(({ name }) => name === 'gemini')?.key;
  expect(keyOf({ GOOGLE_API_KEY: 'k1' })).toBe('k1');
  expect(keyOf({ GOOGLE_API_KEY: 'k1', GEMINI_API_KEY: 'k2' })).toBe('k2');
});

test.each([
  ['127.0.0.1:11434', 'http://127.0.0.1:11434/'],
  ['my-host', 'http://my-host:11434/'],
  [':8000', 'http://127.0.0.1:8000/'],
  ['0.0.0.0', 'http://127.0.0.1:11434/'],
  ['0.0.0.0:80', 'http://127.0.0.1/'],
  ['[::]:8000', 'http://[::1]:8000/'],
  ['http://my-host', 'http://my-host/'],
  ['https://my-host/below', 'https://my-host/below'],
])('Ollama exists if OLLAMA_HOST is set: %s is reached at %s', (host, baseUrl) => {
  expect(providerServers({ OLLAMA_HOST: host })?.slice(4)).toEqual([
    { name: 'ollama', wire: ollama, baseUrl, key: null, keyRequired: null },
  ]);
});

test("a named provider replaces the vendor's provider of the same name", () => {
  const set = { OLLAMA_HOST: '127.0.0.1', COPPICE_OPENAI_PROVIDERS: 'ollama=http://127.0.0.1:11434/v1' };
  expect(providerServers(set)?.slice(4)).toEqual([
    { name: 'ollama', wire: openAiChat, baseUrl: 'http://127.0.0.1:11434/v1', key: null, keyRequired: null },
  ]);
});

test('named providers have their own keys', () => {
  const list = 'ollama=http://127.0.0.1:11434/v1, open-router=https://openrouter.ai/api/v1';
  expect(
    providerServers({
      COPPICE_OPENAI_PROVIDERS: list,
      COPPICE_OPENAI_KEY_OPEN_ROUTER: 'k2',
      OPENAI_API_KEY: 'k1',
    })?.slice(4),
  ).toEqual([
    { name: 'ollama', wire: openAiChat, baseUrl: 'http://127.0.0.1:11434/v1', key: null, keyRequired: null },
    { name: 'open-router', wire: openAiChat, baseUrl: 'https://openrouter.ai/api/v1', key: 'k2', keyRequired: null },
  ]);
});

test('a key may be in a file', async () => {
  await using folder = await temporaryFolder('gateway-key');
  const file = path.join(folder.path, 'key');
  await writeFile(file, 'k3\n');
  expect(providerServers({ OPENAI_API_KEY_FILE: file, OPENAI_API_KEY: 'k1' })?.[0]?.key).toBe('k3');
  const named = { COPPICE_OPENAI_PROVIDERS: 'local=http://127.0.0.1:1/v1', COPPICE_OPENAI_KEY_LOCAL_FILE: file };
  expect(providerServers(named)?.at(-1)?.key).toBe('k3');
  expect(providerServers({ ANTHROPIC_API_KEY_FILE: file })?.[2]?.key).toBe('k3');
  for (const variable of ['GEMINI_API_KEY_FILE', 'GOOGLE_API_KEY_FILE'])
    expect(providerServers({ [variable]: file })?.[3]?.key).toBe('k3');
  expect(() => providerServers({ OPENAI_API_KEY_FILE: path.join(folder.path, 'none') })).toThrow('ENOENT');
});

test.each([
  { OPENAI_BASE_URL: 'api.acme.example/v1' },
  { OPENAI_BASE_URL: 'ftp://acme.example' },
  { OPENAI_BASE_URL: 'https://me:secret-1@acme.example/v1' },
  { OPENAI_API_KEY: 'secret-1 with a space' },
  { OPENAI_API_KEY: 'secret-1\nx-header: y' },
  { ANTHROPIC_API_KEY: 'secret-1 with a space' },
  { ANTHROPIC_BASE_URL: 'https://me:secret-1@acme.example' },
  { GEMINI_API_KEY: 'secret-1 with a space' },
  { GOOGLE_API_KEY: 'secret-1 with a space' },
  { GEMINI_BASE_URL: 'https://me:secret-1@acme.example' },
  { OLLAMA_HOST: 'secret-1 and more' },
  { OLLAMA_HOST: 'me:secret-1@acme.example' },
  { COPPICE_OPENAI_PROVIDERS: 'secret-1' },
  { COPPICE_OPENAI_PROVIDERS: 'openai=http://127.0.0.1:1/v1' },
  { COPPICE_OPENAI_PROVIDERS: 'a=http://127.0.0.1:1/v1,a=http://127.0.0.1:2/v1' },
  { COPPICE_OPENAI_PROVIDERS: 'A B=http://127.0.0.1:1/v1' },
  { COPPICE_OPENAI_PROVIDERS: 'a=http://me:secret-1@127.0.0.1:1/v1' },
])('%j is rejected, and the error names the variable and contains no secret', (environment) => {
  const [variable] = Object.keys(environment);
  const read = () => providerServers(environment);
  expect(read).toThrow(ConfigurationError);
  expect(read).toThrow(variable);
  expect(read).not.toThrow('secret-1');
});

test.each([
  ['localhost:8799', '"localhost:8799"'],
  ['localhost:8799/v1', '"localhost:8799…"'],
  ['ftp://acme.example', '"ftp://acme.example"'],
  ['me:12345@acme.example', 'something else'],
])('the error for the invalid address %j contains only the part without a secret: %s', (address, shown) => {
  const expected = 'an address such as http://127.0.0.1:11434/v1, without user or password';
  expect(() => providerServers({ OPENAI_BASE_URL: address })).toThrow(
    `OPENAI_BASE_URL: expected ${expected}, received ${shown}`,
  );
});

test.each([
  ['http://h/v1', 'http://h/v1/models'],
  ['http://h/v1/', 'http://h/v1/models'],
  ['http://h', 'http://h/models'],
  ['https://h/openai/v1?api-version=preview', 'https://h/openai/v1/models?api-version=preview'],
])('paths are added to %s', (baseUrl, expected) => {
  const address = addressOf({ baseUrl }, 'models');
  expect(`${address.origin}${address.path}`).toBe(expected);
});
