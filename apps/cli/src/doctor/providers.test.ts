import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { checkProviders, ofProvider } from './providers.ts';

const found = async (environment: Record<string, string>) => {
  const checks = await checkProviders(null, environment);
  return (name: string) => checks.find((check) => check.name === `model provider ${name}`);
};

test('for a vendor that is not set up, doctor names the missing key, without a warning', async () => {
  const provider = await found({});
  for (const [name, variable] of [
    ['openai', 'OPENAI_API_KEY'],
    ['anthropic', 'ANTHROPIC_API_KEY'],
  ] as const) {
    expect(provider(name)).toMatchObject({ level: 'ok', found: expect.stringContaining(`set ${variable}`) });
  }
});

test('a key is reported as set, but its value is never printed', async () => {
  const anthropic = (await found({ ANTHROPIC_API_KEY: 'key-that-must-stay-secret' }))('anthropic');
  expect(anthropic).toMatchObject({ level: 'ok', found: expect.stringContaining('api.anthropic.com, with a key') });
  expect(JSON.stringify(anthropic)).not.toContain('must-stay-secret');
});

test('Ollama is a provider only if its address is set', async () => {
  expect((await found({}))('ollama')).toBeUndefined();
  expect((await found({ OLLAMA_HOST: 'gpu-box' }))('ollama')?.found).toContain('gpu-box:11434');
});

test('the check of an alias lists its usable candidates, and warns if there are none', async () => {
  await using folder = await temporaryFolder('doctor');
  const file = path.join(folder.path, 'gateway.yaml');
  const aliases =
    'aliases:\n  fast:\n    candidates: [openai/small, anthropic/small]\n  strong: { candidates: [gemini/large] }\n';
  await writeFile(file, aliases);
  const checks = await checkProviders(null, { COPPICE_GATEWAY_CONFIG: file, ANTHROPIC_API_KEY: 'a-key' });
  const ofAlias = (name: string) => checks.find((check) => check.name === `model alias ${name}`);
  expect(ofAlias('fast')).toMatchObject({
    level: 'ok',
    found: expect.stringMatching(/available now: anthropic\/small$/),
  });
  expect(ofAlias('strong')).toMatchObject({ level: 'warning', found: expect.stringContaining('none of them') });
});

test.each([
  [{ scriptFolders: ['/srv/scripts', '/more'] }, 'plays the scripts in /srv/scripts, /more on'],
  [{ scriptFolders: [], problem: 'no folder of scripts is configured (COPPICE_SCRIPTS)' }, 'not set up (no folder of'],
  [{}, "plays any script of the stack's machine"],
])('the check of the scripted model names the scripts that it plays: %j', (reported, expected) => {
  const scripted = { name: 'scripted', host: null, keyPresent: false, reachable: null, models: [], problem: null };
  const check = ofProvider({ ...scripted, ...reported });
  expect([check.level, check.found]).toEqual(['ok', expect.stringContaining(expected)]);
});
