import { readFileSync } from 'node:fs';
import { ConfigurationError } from '@coppice/service';
import { z } from 'zod';
import type { Endpoint } from './http/endpoint.ts';
import { openAiChat } from './openai-chat/wire.ts';

const baseUrlDefault = 'https://api.openai.com/v1';
const namedMax = 32;

/** Of the environment. Keys of named providers are read by their own variables, see `endpointsOf`. */
export const providerVariables = {
  OPENAI_BASE_URL: z.string().default(baseUrlDefault),
  OPENAI_API_KEY: z.string().optional(),
  /** A file that holds the key alone, used instead: secrets in the environment are seen by child processes. */
  OPENAI_API_KEY_FILE: z.string().optional(),
  /** More providers: `name=baseUrl,…`, e.g. `ollama=http://127.0.0.1:11434/v1`. Their keys: COPPICE_OPENAI_KEY_<NAME>, or …_FILE. */
  COPPICE_OPENAI_PROVIDERS: z.string().default(''),
};

/**
 * The provider `openai` and the named ones. `COPPICE_OPENAI_KEY_<NAME>` is the name in capitals with `_` for `-`.
 * @throws ConfigurationError which never holds a key.
 */
export function endpointsOf(
  configuration: z.output<z.ZodObject<typeof providerVariables>>,
  environment: NodeJS.ProcessEnv = process.env,
): Endpoint[] {
  const baseUrl = checkedUrl(configuration.OPENAI_BASE_URL, 'OPENAI_BASE_URL');
  const own: Endpoint = {
    name: 'openai',
    wire: openAiChat,
    baseUrl,
    key: keyOf('OPENAI_API_KEY', {
      OPENAI_API_KEY: configuration.OPENAI_API_KEY,
      OPENAI_API_KEY_FILE: configuration.OPENAI_API_KEY_FILE,
    }),
    keyRequired: new URL(baseUrl).host === new URL(baseUrlDefault).host ? 'OPENAI_API_KEY' : null,
  };
  return [own, ...named(configuration.COPPICE_OPENAI_PROVIDERS, environment)];
}

function named(list: string, environment: NodeJS.ProcessEnv): Endpoint[] {
  const variable = 'COPPICE_OPENAI_PROVIDERS';
  const entries = list
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  if (entries.length > namedMax) throw wrong(variable, `at most ${namedMax} providers`, `${entries.length}`);
  const used = new Set(['openai', 'scripted']);
  return entries.map((entry) => {
    const [, name, address] = /^([a-z][a-z0-9-]{0,31})=(.+)$/.exec(entry) ?? [];
    if (name === undefined || address === undefined)
      throw wrong(variable, 'name=baseUrl,… with names of a-z, 0-9 and -', 'an entry of another form');
    if (used.has(name)) throw wrong(variable, 'each name once, and neither openai nor scripted', name);
    used.add(name);
    const baseUrl = checkedUrl(address, variable);
    const key = keyOf(`COPPICE_OPENAI_KEY_${name.toUpperCase().replaceAll('-', '_')}`, environment);
    return { name, wire: openAiChat, baseUrl, key, keyRequired: null };
  });
}

function keyOf(variable: string, environment: NodeJS.ProcessEnv): string | null {
  const file = environment[`${variable}_FILE`];
  const fromFile = file !== undefined && file !== '';
  const key = (fromFile ? fileText(file, `${variable}_FILE`) : (environment[variable] ?? '')).trim();
  if (key === '') return null;
  // What a header can hold, and nothing that JSON escapes: a key is looked for in errors, to keep it out of them.
  if (/^[!#-[\]-~]{1,4096}$/.test(key)) return key;
  throw wrong(fromFile ? `${variable}_FILE` : variable, 'a key of printable characters without spaces', '[redacted]');
}

function fileText(file: string, variable: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw wrong(variable, 'a readable file with the key', `${file} (${(error as NodeJS.ErrnoException).code})`);
  }
}

function checkedUrl(text: string, variable: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  const expected = 'an address such as http://127.0.0.1:11434/v1, without user or password';
  // What came may hold a password: only a well-formed address without one is repeated.
  if (url === null || url.username !== '' || url.password !== '') throw wrong(variable, expected, 'something else');
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw wrong(variable, expected, url.protocol);
  return url.href;
}

const wrong = (field: string, expected: string, received: string): ConfigurationError =>
  new ConfigurationError([{ field, expected, received }]);
