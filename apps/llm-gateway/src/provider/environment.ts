import { readFileSync } from 'node:fs';
import { ConfigurationError } from '@coppice/service';
import { z } from 'zod';
import { anthropic } from '../wires/anthropic/wire.ts';
import { gemini } from '../wires/gemini/wire.ts';
import type { ProviderServer } from '../transport/provider-server.ts';
import { ollama } from '../wires/ollama/wire.ts';
import { openAiChat, openAiChatAt } from '../wires/openai-chat/wire.ts';
import { openAiResponses } from '../wires/openai-responses/wire.ts';

/**
 * Vendors with a known address. They are registered even without a key, so that an error can name the variable to set. OpenAI is listed once per wire format, since
 * not every model of theirs supports both.
 */
const vendors = [
  { name: 'openai', wire: openAiChat, variable: 'OPENAI', baseUrl: 'https://api.openai.com/v1' },
  { name: 'openai-responses', wire: openAiResponses, variable: 'OPENAI', baseUrl: 'https://api.openai.com/v1' },
  { name: 'anthropic', wire: anthropic, variable: 'ANTHROPIC', baseUrl: 'https://api.anthropic.com' },
  { name: 'gemini', wire: gemini, variable: 'GEMINI', baseUrl: 'https://generativelanguage.googleapis.com' },
] as const;
/** Names that other providers must not use. */
const ownNames = ['openai', 'scripted'];
const namedMax = 32;
const ollamaPort = '11434';

const optional = z.string().optional();

/** Environment variables. The keys of named providers have variables of their own, see `endpointsOf`. */
export const providerVariables = {
  OPENAI_BASE_URL: optional,
  OPENAI_API_KEY: optional,
  /** A file that holds only the key, used instead: child processes see secrets in the environment. */
  OPENAI_API_KEY_FILE: optional,
  ANTHROPIC_BASE_URL: optional,
  ANTHROPIC_API_KEY: optional,
  ANTHROPIC_API_KEY_FILE: optional,
  GEMINI_BASE_URL: optional,
  GEMINI_API_KEY: optional,
  GEMINI_API_KEY_FILE: optional,
  /** The name that Google's own programs also read. GEMINI_API_KEY takes precedence. */
  GOOGLE_API_KEY: optional,
  GOOGLE_API_KEY_FILE: optional,
  /** In the form that Ollama's own programs read: `host`, `host:port` or a URL. Provider `ollama` exists only if this is set. */
  OLLAMA_HOST: optional,
  /** Further providers: `name=baseUrl,…`, e.g. `router=https://openrouter.ai/api/v1`. Their keys: COPPICE_OPENAI_KEY_<NAME>, or …_FILE. */
  COPPICE_OPENAI_PROVIDERS: z.string().default(''),
};
type ProviderConfiguration = z.output<z.ZodObject<typeof providerVariables>>;

/**
 * The providers of the vendors, Ollama's, and the named ones. `COPPICE_OPENAI_KEY_<NAME>` is the name in capitals with `_` for `-`. A named provider replaces a vendor's
 * provider of the same name.
 * @throws ConfigurationError, which never contains a key.
 */
export function providerServersOf(
  configuration: ProviderConfiguration,
  environment: NodeJS.ProcessEnv = process.env,
): ProviderServer[] {
  const others = named(configuration.COPPICE_OPENAI_PROVIDERS, environment);
  const known = [...vendors.map((vendor) => ofVendor(vendor, configuration)), ...ollamaOf(configuration)];
  return [...known.filter(({ name }) => !others.some((other) => other.name === name)), ...others];
}

function ofVendor(
  { name, wire, variable, baseUrl: baseUrlDefault }: (typeof vendors)[number],
  configuration: ProviderConfiguration,
): ProviderServer {
  const address = configuration[`${variable}_BASE_URL`];
  const baseUrl = address === undefined ? baseUrlDefault : checkedUrl(address, `${variable}_BASE_URL`);
  const keyVariable = `${variable}_API_KEY` as const;
  const key = keyOf(keyVariable, configuration) ?? (wire === gemini ? keyOf('GOOGLE_API_KEY', configuration) : null);
  const keyRequired = new URL(baseUrl).host === new URL(baseUrlDefault).host ? keyVariable : null;
  return { name, wire: wire === openAiChat ? openAiChatAt(baseUrl) : wire, baseUrl, key, keyRequired };
}

function ollamaOf({ OLLAMA_HOST: host }: ProviderConfiguration): ProviderServer[] {
  if (host === undefined) return [];
  const withScheme = /^[a-z]+:\/\//i.test(host);
  const address = withScheme ? host : `http://${host.startsWith(':') ? '127.0.0.1' : ''}${host}`;
  const url = new URL(checkedUrl(address, 'OLLAMA_HOST'));
  if (!withScheme && !/:\d+$/.test(host)) url.port = ollamaPort;
  // Ollama's server reads its listen address from the same variable, and nobody can connect to "all interfaces".
  url.hostname = url.hostname.replace(/^0\.0\.0\.0$/, '127.0.0.1').replace(/^\[::\]$/, '[::1]');
  return [{ name: 'ollama', wire: ollama, baseUrl: url.href, key: null, keyRequired: null }];
}

function named(list: string, environment: NodeJS.ProcessEnv): ProviderServer[] {
  const variable = 'COPPICE_OPENAI_PROVIDERS';
  const entries = list
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  if (entries.length > namedMax) throw wrong(variable, `at most ${namedMax} providers`, `${entries.length}`);
  const used = new Set(ownNames);
  return entries.map((entry) => {
    const [, name, address] = /^([a-z][a-z0-9-]{0,31})=(.+)$/.exec(entry) ?? [];
    if (name === undefined || address === undefined)
      throw wrong(variable, 'name=baseUrl,… with names of a-z, 0-9 and -', 'an entry of another form');
    if (used.has(name)) throw wrong(variable, 'each name once, and neither openai nor scripted', name);
    used.add(name);
    const baseUrl = checkedUrl(address, variable);
    const key = keyOf(`COPPICE_OPENAI_KEY_${name.toUpperCase().replaceAll('-', '_')}`, environment);
    return { name, wire: openAiChatAt(baseUrl), baseUrl, key, keyRequired: null };
  });
}

function keyOf(variable: string, environment: Readonly<Record<string, string | undefined>>): string | null {
  const file = environment[`${variable}_FILE`];
  if (file !== undefined && file !== '') return keyInFile(file, `${variable}_FILE`);
  return keyIn(variable, environment);
}

/** The key in a variable; null if it is not set. @throws ConfigurationError, which doesn't contain it. */
export const keyIn = (variable: string, environment: Readonly<Record<string, string | undefined>>): string | null =>
  checkedKey(environment[variable] ?? '', variable);

/** The key in a file; `field` is the setting that names the file. @throws ConfigurationError, which doesn't contain the key. */
export function keyInFile(file: string, field: string): string | null {
  try {
    return checkedKey(readFileSync(file, 'utf8'), field);
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    throw wrong(field, 'a readable file with the key', `${file} (${(error as NodeJS.ErrnoException).code})`);
  }
}

function checkedKey(text: string, field: string): string | null {
  const key = text.trim();
  if (key === '') return null;
  // Only characters that a header can hold and JSON doesn't escape: redaction searches errors for the key as it is.
  if (/^[!#-[\]-~]{1,4096}$/.test(key)) return key;
  throw wrong(field, 'a key of printable characters without spaces', '[redacted]');
}

function checkedUrl(text: string, variable: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  const expected = 'an address such as http://127.0.0.1:11434/v1, without user or password';
  const isHttp = url !== null && /^https?:$/.test(url.protocol);
  if (isHttp && url.username === '' && url.password === '') return url.href;
  throw wrong(variable, expected, tellableAddress(text) ?? 'something else');
}

/** The part of an invalid address that can't hold a password or a key: scheme and host, or host and port. Null if the text doesn't start with one. */
export function tellableAddress(text: string): string | null {
  const start = /^(?:[a-z][a-z0-9+.-]*:\/\/[a-z0-9.-]+(?::\d{1,5})?|[a-z0-9.-]+:\d{1,5})(?=$|[/?#])/i.exec(text)?.[0];
  if (start === undefined) return null;
  return JSON.stringify(start === text ? start : `${start}…`);
}

const wrong = (field: string, expected: string, received: string): ConfigurationError =>
  new ConfigurationError([{ field, expected, received }]);
