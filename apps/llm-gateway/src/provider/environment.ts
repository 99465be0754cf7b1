import { readFileSync } from 'node:fs';
import { variablesOf, vendors } from '@coppice/contracts';
import type { Vendor, VendorRegistry } from '@coppice/contracts';
import { ConfigurationError } from '@coppice/service';
import { z } from 'zod';
import type { ProviderServer } from '../transport/provider-server.ts';
import { openAiChatAt } from '../wires/openai-chat/wire.ts';
import { wireOf } from '../wires/registry.ts';
import type { WireName } from '../wires/registry.ts';

/** Names that named providers must not use. */
const ownNames = ['openai', 'scripted'];
const namedMax = 32;

const optional = z.string().optional();

/**
 * A variable `…_FILE` names a file that contains only the key. A file is safer, since child processes can read the
 * environment.
 */
export const vendorVariablesOf = (registry: VendorRegistry): Record<string, typeof optional> =>
  Object.fromEntries(
    Object.values(registry)
      .flatMap(variablesOf)
      .map((variable) => [variable, optional]),
  );

/** Environment variables for providers, except for the keys of named providers. */
export const providerVariables = {
  ...vendorVariablesOf(vendors),
  /**
   * Named providers as `name=baseUrl,…`, for example `router=https://openrouter.ai/api/v1`. The key is in
   * COPPICE_OPENAI_KEY_<NAME>, or in the file that COPPICE_OPENAI_KEY_<NAME>_FILE names.
   */
  COPPICE_OPENAI_PROVIDERS: z.string().default(''),
};
type Variables = Readonly<Record<string, string | undefined>>;
type ProviderConfiguration = { readonly COPPICE_OPENAI_PROVIDERS: string };

/**
 * Returns the vendors' providers and the named providers. In `COPPICE_OPENAI_KEY_<NAME>`, the provider's name is in
 * capitals, with `_` instead of `-`. A named provider replaces a vendor's provider of the same name.
 * @throws ConfigurationError, which never contains a key.
 */
export function providerServersOf(
  configuration: ProviderConfiguration,
  environment: NodeJS.ProcessEnv = process.env,
): ProviderServer[] {
  const others = named(configuration.COPPICE_OPENAI_PROVIDERS, environment);
  const known = vendorServersOf(vendors, { ...configuration });
  return [...known.filter(({ name }) => !others.some((other) => other.name === name)), ...others];
}

/** Includes a vendor that requires a key even without it, so that an error can name the variable to set. */
export const vendorServersOf = (registry: VendorRegistry<WireName>, variables: Variables): ProviderServer[] =>
  Object.values(registry).flatMap((vendor) => {
    const baseUrl = baseUrlOf(vendor, variables);
    if (baseUrl === null) return [];
    const names = vendor.key?.variables ?? [];
    const key = names.reduce((found: string | null, name) => found ?? keyOf(name, variables), null);
    const isTheirs = new URL(baseUrl).host === new URL(vendor.baseUrl).host;
    const keyRequired = isTheirs ? (names[0] ?? null) : null;
    return Object.entries(vendor.providers).map(([name, wire]) => ({
      name,
      wire: wireOf(wire, baseUrl),
      baseUrl,
      key,
      keyRequired,
    }));
  });

/** Returns null for a vendor without an address. */
function baseUrlOf({ address: { variable, form }, baseUrl }: Vendor, variables: Variables): string | null {
  const given = variables[variable];
  if (form === 'host') return given === undefined ? null : hostUrl(given, variable, new URL(baseUrl).port);
  return given === undefined ? baseUrl : checkedUrl(given, variable);
}

/** Parses an address as Ollama's own programs do. It is `host`, `host:port` or a URL. */
function hostUrl(host: string, variable: string, portDefault: string): string {
  const withScheme = /^[a-z]+:\/\//i.test(host);
  const address = withScheme ? host : `http://${host.startsWith(':') ? '127.0.0.1' : ''}${host}`;
  const url = new URL(checkedUrl(address, variable));
  if (!withScheme && !/:\d+$/.test(host)) url.port = portDefault;
  // Ollama's server reads its listen address from the same variable. No client can connect to the address for "all
  // interfaces", so loopback replaces it.
  url.hostname = url.hostname.replace(/^0\.0\.0\.0$/, '127.0.0.1').replace(/^\[::\]$/, '[::1]');
  return url.href;
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

/**
 * Returns null if the variable isn't set.
 * @throws ConfigurationError, which doesn't contain the key.
 */
export const keyIn = (variable: string, environment: Readonly<Record<string, string | undefined>>): string | null =>
  checkedKey(environment[variable] ?? '', variable);

/**
 * @param field the setting that names the file
 * @throws ConfigurationError, which doesn't contain the key.
 */
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
  // A key may contain only characters that a header can contain. JSON must not escape them, since redaction searches
  // for the unescaped key.
  if (/^[!#-[\]-~]{1,4096}$/.test(key)) return key;
  throw wrong(field, 'a key of printable characters without spaces', '[redacted]');
}

function checkedUrl(text: string, variable: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  const expected = 'an address such as http://127.0.0.1:11434/v1, without user or password';
  const isHttp = url !== null && /^https?:$/.test(url.protocol);
  if (isHttp && url.username === '' && url.password === '') return url.href;
  throw wrong(variable, expected, safeAddress(text) ?? 'something else');
}

/**
 * Returns the scheme and host, or the host and port, of an invalid address. This part can't contain a password or a
 * key. Returns null if the text doesn't start with such a part.
 */
export function safeAddress(text: string): string | null {
  const start = /^(?:[a-z][a-z0-9+.-]*:\/\/[a-z0-9.-]+(?::\d{1,5})?|[a-z0-9.-]+:\d{1,5})(?=$|[/?#])/i.exec(text)?.[0];
  if (start === undefined) return null;
  return JSON.stringify(start === text ? start : `${start}…`);
}

const wrong = (field: string, expected: string, received: string): ConfigurationError =>
  new ConfigurationError([{ field, expected, received }]);
