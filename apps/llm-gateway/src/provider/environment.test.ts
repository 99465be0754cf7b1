import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ConfigurationError } from '@coppice/service';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { gatewayOptionsFrom } from '../configuration.ts';
import { urlOf } from './http/endpoint.ts';
import { openAiChat } from './openai-chat/wire.ts';

const endpoints = (environment: Record<string, string>) => gatewayOptionsFrom(environment).endpoints;

test('OpenAI is there by default, and needs a key', () => {
  expect(endpoints({})).toEqual([
    {
      name: 'openai',
      wire: openAiChat,
      baseUrl: 'https://api.openai.com/v1',
      key: null,
      keyRequired: 'OPENAI_API_KEY',
    },
  ]);
  expect(endpoints({ OPENAI_API_KEY: 'k1', OPENAI_BASE_URL: 'http://127.0.0.1:1234/v1/' })).toEqual([
    { name: 'openai', wire: openAiChat, baseUrl: 'http://127.0.0.1:1234/v1/', key: 'k1', keyRequired: null },
  ]);
});

test('named ones have keys of their own', () => {
  const list = 'ollama=http://127.0.0.1:11434/v1, open-router=https://openrouter.ai/api/v1';
  expect(
    endpoints({ COPPICE_OPENAI_PROVIDERS: list, COPPICE_OPENAI_KEY_OPEN_ROUTER: 'k2', OPENAI_API_KEY: 'k1' })?.slice(1),
  ).toEqual([
    { name: 'ollama', wire: openAiChat, baseUrl: 'http://127.0.0.1:11434/v1', key: null, keyRequired: null },
    { name: 'open-router', wire: openAiChat, baseUrl: 'https://openrouter.ai/api/v1', key: 'k2', keyRequired: null },
  ]);
});

test('a key may lie in a file', async () => {
  await using folder = await temporaryFolder('gateway-key');
  const file = path.join(folder.path, 'key');
  await writeFile(file, 'k3\n');
  expect(endpoints({ OPENAI_API_KEY_FILE: file, OPENAI_API_KEY: 'k1' })?.[0]?.key).toBe('k3');
  const named = { COPPICE_OPENAI_PROVIDERS: 'local=http://127.0.0.1:1/v1', COPPICE_OPENAI_KEY_LOCAL_FILE: file };
  expect(endpoints(named)?.[1]?.key).toBe('k3');
  expect(() => endpoints({ OPENAI_API_KEY_FILE: path.join(folder.path, 'none') })).toThrow('ENOENT');
});

test.each([
  { OPENAI_BASE_URL: 'api.acme.example/v1' },
  { OPENAI_BASE_URL: 'ftp://acme.example' },
  { OPENAI_BASE_URL: 'https://me:secret-1@acme.example/v1' },
  { OPENAI_API_KEY: 'secret-1 with a space' },
  { OPENAI_API_KEY: 'secret-1\nx-header: y' },
  { COPPICE_OPENAI_PROVIDERS: 'secret-1' },
  { COPPICE_OPENAI_PROVIDERS: 'openai=http://127.0.0.1:1/v1' },
  { COPPICE_OPENAI_PROVIDERS: 'a=http://127.0.0.1:1/v1,a=http://127.0.0.1:2/v1' },
  { COPPICE_OPENAI_PROVIDERS: 'A B=http://127.0.0.1:1/v1' },
  { COPPICE_OPENAI_PROVIDERS: 'a=http://me:secret-1@127.0.0.1:1/v1' },
])('%j is refused, naming the variable and no secret', (environment) => {
  const [variable] = Object.keys(environment);
  const read = () => endpoints(environment);
  expect(read).toThrow(ConfigurationError);
  expect(read).toThrow(variable);
  expect(read).not.toThrow('secret-1');
});

test.each([
  ['http://h/v1', 'http://h/v1/models'],
  ['http://h/v1/', 'http://h/v1/models'],
  ['http://h', 'http://h/models'],
  ['https://h/openai/v1?api-version=preview', 'https://h/openai/v1/models?api-version=preview'],
])('paths go below %s', (baseUrl, expected) => {
  expect(urlOf({ baseUrl }, 'models')).toBe(expected);
});
