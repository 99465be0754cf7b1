/**
 * Adds a new entry to each registry. Each list that derives from the registry must have it, and each comparison of a list that can't derive must miss it.
 * Services: services.test.ts.
 */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { isVendorVariable, variablesOf, vendors } from '@coppice/contracts';
import type { VendorRegistry } from '@coppice/contracts';
import { describe, expect, test } from 'vitest';
import { howToGetModels } from '../apps/cli/src/doctor/providers.ts';
import { environmentHelp, environmentHelpOf } from '../apps/cli/src/help-texts.ts';
import { isOfTheGateway } from '../apps/cli/src/stack/gateway-environment.ts';
import { keyHeader, keyVariablePattern } from '../apps/llm-gateway/src/configuration/schema.ts';
import { vendorServersOf, vendorVariablesOf } from '../apps/llm-gateway/src/provider/environment.ts';
import { wireNames, wireOf } from '../apps/llm-gateway/src/wires/registry.ts';
import type { WireName } from '../apps/llm-gateway/src/wires/registry.ts';
import { formats } from '../libs/faulty-upstream/src/formats/registry.ts';
import { redactionFor, secretFields } from '../libs/telemetry/src/redaction.ts';

const projectFolder = path.resolve(import.meta.dirname, '..');
const read = (file: string) => readFileSync(path.join(projectFolder, file), 'utf8');

/** Returns what a registry has and a list lacks. */
const missingIn = (list: readonly string[], registry: readonly string[]) =>
  registry.filter((name) => !list.includes(name));

describe('vendors', () => {
  const acme = {
    providers: { acme: 'openai-chat' },
    baseUrl: 'https://api.acme.example/v1',
    address: { variable: 'ACME_BASE_URL', form: 'url' },
    key: { variables: ['ACME_API_KEY', 'ACME_TOKEN'], pattern: /\bacme-[a-z0-9]{8,}/ },
    prefixes: ['ACME_'],
    help: ['the model provider "acme"'],
  } as const;
  const extended: VendorRegistry<WireName> = { ...vendors, acme };
  const variables = ['ACME_BASE_URL', 'ACME_API_KEY', 'ACME_API_KEY_FILE', 'ACME_TOKEN', 'ACME_TOKEN_FILE'];

  test('the gateway reads the variables of a new one, and has its provider', () => {
    expect(Object.keys(vendorVariablesOf(extended))).toEqual(expect.arrayContaining(variables));
    const [provider] = vendorServersOf(extended, { ACME_TOKEN: 'k' }).filter(({ name }) => name === 'acme');
    expect(provider).toMatchObject({ baseUrl: acme.baseUrl, key: 'k', keyRequired: 'ACME_API_KEY' });
  });

  test("no program but the gateway gets them, and the gateway's file may name them", () => {
    for (const variable of [...variables, 'ACME_ORGANISATION']) {
      expect([variable, isOfTheGateway(variable), isOfTheGateway(variable, extended)]).toEqual([variable, false, true]);
      expect(isVendorVariable(variable, extended)).toBe(true);
      expect(keyVariablePattern(vendors).test(variable)).toBe(false);
      expect(keyVariablePattern(extended).test(variable)).toBe(true);
    }
  });

  test('doctor and help name it', () => {
    expect(howToGetModels(extended)).toContain(', or ACME_API_KEY, or start');
    expect(environmentHelpOf(extended)).toMatch(
      /^ {2}ACME_API_KEY \(or ACME_TOKEN\), ACME_BASE_URL {3}the model provider "acme"$/m,
    );
    expect(environmentHelp).not.toContain('ACME');
  });

  test('logs are redacted of its keys', () => {
    const text = 'refused: acme-0123456789 is not valid, nor is acme-abcdefghij';
    expect(redactionFor(vendors)(text)).toBe(text);
    expect(redactionFor(extended)(text)).toBe('refused: [redacted] is not valid, nor is [redacted]');
  });

  const documented = () => [...read('docs/models.md').matchAll(/`([A-Z_]+)`/g)].map(([, name = '']) => name);
  const variablesIn = (registry: VendorRegistry) => Object.values(registry).flatMap(variablesOf);

  test('docs/models.md has all variables, and a new one is missed', () => {
    expect(missingIn(documented(), variablesIn(vendors))).toEqual([]);
    expect(missingIn(documented(), variablesIn(extended))).toEqual(variables);
  });
});

describe('wire formats', () => {
  const extended = [...wireNames, 'new-format'];
  const lists: Record<string, () => readonly string[]> = {
    'formats of the faulty upstream': () => formats.map(({ name }) => name),
    'formats of vendors': () =>
      Object.values<VendorRegistry[string]>(vendors).flatMap((vendor) => Object.values(vendor.providers)),
    'folders in apps/llm-gateway/src/wires': () =>
      readdirSync(path.join(projectFolder, 'apps/llm-gateway/src/wires'), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => name),
  };

  test.each(Object.entries(lists))('%s: all are there, and a new one is missed', (_name, list) => {
    expect(missingIn(list(), wireNames)).toEqual([]);
    expect(missingIn(list(), extended)).toEqual(['new-format']);
    expect(missingIn(wireNames, list())).toEqual([]);
  });

  test.each(wireNames)(
    "%s: the headers with its key are not to be set in the gateway's file, and are redacted in logs",
    (name) => {
      for (const header of Object.keys(wireOf(name, 'http://127.0.0.1:1').keyHeaders('k'))) {
        expect(header).toMatch(keyHeader);
        expect(secretFields).toContain(header.includes('-') ? `["${header}"]` : header);
      }
    },
  );
});
