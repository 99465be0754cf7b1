import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fieldIssues } from '@coppice/bus';
import type { FieldIssue } from '@coppice/contracts';
import { ConfigurationError } from '@coppice/service';
import { parseYaml } from '@coppice/yaml';
import type { YamlText } from '@coppice/yaml';
import { redact } from '@coppice/telemetry';
import { keyIn, keyInFile, safeAddress } from '../provider/environment.ts';
import type { ProviderServer } from '../transport/provider-server.ts';
import { wireOf } from '../wires/registry.ts';
import type { LlmGatewayOptions } from '../service.ts';
import { gatewayFileSchema } from './schema.ts';
import type { GatewayFile } from './schema.ts';

type FileOptions = Pick<
  LlmGatewayOptions,
  'file' | 'providerServers' | 'aliases' | 'prices' | 'tenantLimits' | 'cache' | 'patience' | 'retry'
>;

const fileBytesMax = 1024 * 1024;

/**
 * Reads providers, aliases, prices and limits from a file. The file takes precedence over the environment.
 * @throws ConfigurationError with the file, line, column, field, expected value and received value. It never contains a
 *   key.
 */
export function readGatewayFile(
  file: string,
  known: readonly ProviderServer[],
  environment: NodeJS.ProcessEnv = process.env,
): FileOptions {
  const text = textOf(file);
  const yaml = parseYaml(text);
  if ('problems' in yaml) {
    const [{ message, place }] = yaml.problems;
    throw wrong(`${file}:${place.line}:${place.column}`, 'YAML', `what is none: ${message}`);
  }
  const place = (issues: readonly FieldIssue[]) => placed(file, yaml, issues);
  const complain = (issues: readonly FieldIssue[]) => place(issues.map(withoutKey));
  const parsed = gatewayFileSchema.safeParse(yaml.value ?? {});
  if (!parsed.success) throw complain(fieldIssues(parsed.error.issues, yaml.value));
  const { aliases, prices, cache, limits } = parsed.data;
  const providerServers = providerServersOf(parsed.data, { file, known, environment, place });
  const missing = missingProviders(parsed.data, providerServers);
  if (missing.length > 0) throw complain(missing);
  const { firstToken: firstEventMsMax, idle: idleMsMax, total: totalMsMax, attempts: attemptsMax } = limits;
  return {
    file: { path: file, sha256: createHash('sha256').update(text).digest('hex') },
    providerServers,
    aliases: Object.entries(aliases).map(([name, alias]) => ({ name, ...alias })),
    prices,
    tenantLimits: Object.entries(limits.tenants).map(([tenant, limit]) => ({ tenant, ...limit })),
    ...(cache === undefined ? {} : { cache: { ttlMs: cache.ttl, entryBytesMax: cache.entryBytes } }),
    patience: withoutUndefined({ firstEventMsMax, idleMsMax, totalMsMax }),
    retry: withoutUndefined({ attemptsMax }),
  };
}

type Reading = {
  file: string;
  known: readonly ProviderServer[];
  environment: NodeJS.ProcessEnv;
  /** Builds an error from issues that must not contain a key. */
  place: (issues: readonly FieldIssue[]) => ConfigurationError;
};

/** Returns the file's providers, followed by those of the environment that the file doesn't name. */
function providerServersOf({ providers }: GatewayFile, { file, known, environment, place }: Reading): ProviderServer[] {
  const own = Object.entries(providers).map(([name, { wire, baseUrl, key, headers, concurrency }]): ProviderServer => {
    const field = `providers.${name}`;
    const before = known.find((providerServer) => providerServer.name === name);
    if (name === 'scripted')
      throw place([{ field, expected: 'another name: the scripted model has no server', received: '"scripted"' }]);
    const address = baseUrl === undefined ? before?.baseUrl : new URL(baseUrl).href;
    const wireName = wire ?? before?.wire.name;
    if (address === undefined || wireName === undefined) {
      const missing = address === undefined ? 'baseUrl' : 'wire';
      throw place([
        { field: `${field}.${missing}`, expected: 'one, since no vendor has this name', received: 'nothing' },
      ]);
    }
    try {
      // A key from the environment is sent only to the address for which it was set.
      const ownKey = baseUrl === undefined || baseUrl === before?.baseUrl ? (before?.key ?? null) : null;
      const found = key === undefined ? ownKey : keyOf(key, file, environment);
      const needed = key?.variable ?? key?.file ?? (baseUrl === undefined ? (before?.keyRequired ?? null) : null);
      return {
        name,
        wire: wireOf(wireName, address),
        baseUrl: address,
        key: found,
        keyRequired: needed,
        headers,
        ...(concurrency === undefined ? {} : { concurrency }),
      };
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
      throw place(error.issues.map((issue) => ({ ...issue, field: `${field}.key` })));
    }
  });
  return [...own, ...known.filter(({ name }) => !(name in providers))];
}

function keyOf(
  { variable, file }: { variable?: string | undefined; file?: string | undefined },
  configurationFile: string,
  environment: NodeJS.ProcessEnv,
): string | null {
  if (file !== undefined) return keyOfFile(file, path.dirname(configurationFile));
  return variable === undefined ? null : keyIn(variable, environment);
}

/**
 * Reads a key file. If the file is missing, the error names only the folder, since a user may have written the key
 * itself instead of the file's name.
 */
function keyOfFile(file: string, folder: string): string | null {
  const found = path.resolve(folder, file);
  if (existsSync(found)) return keyInFile(found, 'key');
  const where = path.isAbsolute(file) ? '' : ` in ${folder}`;
  throw wrong('key', 'a readable file with the key', `the name of one that is not there${where}`);
}

function missingProviders({ aliases, prices }: GatewayFile, providerServers: readonly ProviderServer[]): FieldIssue[] {
  const names = ['scripted', ...providerServers.map(({ name }) => name)];
  const isKnown = (model: string) => names.includes(model.slice(0, model.indexOf('/')));
  const models = Object.entries(aliases).flatMap(([alias, { candidates }]) =>
    candidates.map((model, index) => ({ field: `aliases.${alias}.candidates[${index}]`, model })),
  );
  const priced = prices.flatMap(({ model }, index) =>
    model.slice(0, model.indexOf('/')).includes('*') ? [] : [{ field: `prices[${index}].model`, model }],
  );
  return [...models, ...priced].flatMap(({ field, model }) => {
    const expected = `a model of one of the providers ${names.join(', ')}`;
    return isKnown(model) ? [] : [{ field, expected, received: JSON.stringify(model) }];
  });
}

function textOf(file: string): string {
  const expected = `a readable file of at most ${fileBytesMax} bytes`;
  try {
    const { size } = statSync(file);
    if (size <= fileBytesMax) return readFileSync(file, 'utf8');
    throw wrong('COPPICE_GATEWAY_CONFIG', expected, `${file} of ${size} bytes`);
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    throw wrong('COPPICE_GATEWAY_CONFIG', expected, `${file} (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** Matches fields whose values are redacted in errors, since a user may have written a key there. */
const mayHoldKey = /\.(key|headers|baseUrl)\b/;
const variableName = /^"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+"$/;

function withoutKey({ field, expected, received }: FieldIssue): FieldIssue {
  if (!mayHoldKey.test(field) || received === 'nothing') return { field, expected, received: redact(received) };
  const address = field.endsWith('.baseUrl') ? safeAddress(received.slice(1, -1)) : null;
  const isVariable = field.endsWith('.key.variable') && variableName.test(received);
  return { field, expected, received: isVariable ? received : (address ?? '[redacted]') };
}

function placed(file: string, { placeOf }: YamlText, issues: readonly FieldIssue[]): ConfigurationError {
  return new ConfigurationError(
    issues.map(({ field, expected, received }) => {
      const { line, column } = placeOf(field);
      return { field: `${file}:${line}:${column}: ${field === '' ? 'the file' : field}`, expected, received };
    }),
  );
}

const wrong = (field: string, expected: string, received: string): ConfigurationError =>
  new ConfigurationError([{ field, expected, received }]);

const withoutUndefined = <Value>(fields: Record<string, Value | undefined>): Record<string, Value> =>
  Object.fromEntries(Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
