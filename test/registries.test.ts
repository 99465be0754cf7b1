/**
 * Adds a new entry to each registry. Each list that is derived from the registry must then contain the entry. For each
 * other list, a comparison must find that the entry is missing.
 */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import {
  isVendorVariable,
  jsonSchemaOf,
  taskStateEntries,
  taskStateRegistry,
  taskStateRegistryOf,
  variablesOf,
  vendors,
} from '@coppice/contracts';
import type { TaskStateEntry, VendorRegistry } from '@coppice/contracts';
import { metricDefinitions } from '@coppice/telemetry';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { howToGetModels } from '../apps/cli/src/doctor/providers.ts';
import { environmentHelp, environmentHelpOf } from '../apps/cli/src/help-texts.ts';
import { isOfTheGateway } from '../apps/cli/src/stack/gateway-environment.ts';
import { colours } from '../apps/cli/src/output/colours.ts';
import { lookOf, stateColumns, stateColumnsOf, stateText } from '../apps/cli/src/output/states.ts';
import { waitsForPerson } from '../apps/cli/src/progress.ts';
import { keyHeader, keyVariablePattern } from '../apps/llm-gateway/src/configuration/schema.ts';
import { vendorServersOf, vendorVariablesOf } from '../apps/llm-gateway/src/provider/environment.ts';
import { wireNames, wireOf } from '../apps/llm-gateway/src/wires/registry.ts';
import type { WireName } from '../apps/llm-gateway/src/wires/registry.ts';
import { agentKinds, agentStates, newAgentFields } from '../apps/orchestrator/src/agents/registry.ts';
import type { AgentKind } from '../apps/orchestrator/src/agents/agent-kind.ts';
import { taskMachine } from '../apps/orchestrator/src/machines/task/task-machine.ts';
import {
  agentKindNames,
  agentSchema,
  agentSchemaOf,
  agentSchemas,
  kindNamesOf,
} from '../libs/contracts/src/agents/registry.ts';
import { taskStateSchemaOf } from '../libs/contracts/src/task-states.ts';
import { formats } from '../libs/faulty-upstream/src/formats/registry.ts';
import { redactionFor, secretFields } from '../libs/telemetry/src/redaction.ts';

const projectFolder = path.resolve(import.meta.dirname, '..');
const read = (file: string) => readFileSync(path.join(projectFolder, file), 'utf8');

const foldersIn = (folder: string): string[] =>
  readdirSync(path.join(projectFolder, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);

const missingIn = (list: readonly string[], registry: readonly string[]) =>
  registry.filter((name) => !list.includes(name));

describe('states of tasks', () => {
  const added: Record<string, TaskStateEntry> = {
    quarantined: { kind: 'needs-you', label: 'in quarantine for now' },
    archived: { kind: 'end', label: 'in the archive', outcome: 'done' },
  };
  const entries: Record<string, TaskStateEntry> = { ...taskStateEntries, ...added };
  const extended = taskStateRegistryOf(entries);
  const lookText = (state: string, registry = taskStateRegistry) => {
    const { symbol, paint } = lookOf(state, registry);
    return paint(colours(true), symbol);
  };

  test('the command line shows a new state by its label, and in the look of its kind', () => {
    expect(Object.keys(added).map((state) => stateText(state, extended))).toEqual([
      'in quarantine for now',
      'in the archive',
    ]);
    expect(lookText('quarantined', extended)).toBe(lookText('ready'));
    expect(lookText('archived', extended)).toBe(lookText('merged'));
    expect([stateColumns, stateColumnsOf(extended)]).toEqual([17, 21]);
  });

  test('a state without an entry is shown by its name, in the look of busy states', () => {
    for (const state of Object.keys(added)) {
      expect(stateText(state)).toBe(state);
      expect(lookText(state)).toBe(lookText('working'));
    }
  });

  test('the command line reports that a new state needs a decision, but not a new end', () => {
    const tasks = Object.keys(added).map((state) => ({ state }));
    expect([waitsForPerson(tasks), waitsForPerson(tasks, extended)]).toEqual([false, true]);
  });

  test('the published schema lists a new state, and accepts any other', () => {
    expect(jsonSchemaOf(taskStateSchemaOf(extended.states))).toMatchObject({
      anyOf: [{ enum: extended.states }, { type: 'string' }],
    });
  });

  const quoted = (text: string) => [...text.matchAll(/`([a-z-]+)`/g)].map(([, name = '']) => name);
  const ends = Object.keys(entries).filter((state) => extended.kindOf(state) === 'end');
  const living = Object.keys(entries).filter((state) => extended.kindOf(state) !== 'end');
  /** Lists that aren't derived from the registry, with the states that each must contain. */
  const lists: [name: string, list: () => readonly string[], states: readonly string[]][] = [
    [
      'the protocol document',
      () => quoted(/^A task goes through the states .*$/m.exec(read('docs/protocol.md'))?.[0] ?? ''),
      Object.keys(entries),
    ],
    [
      'the help of the metric of ended tasks',
      () => metricDefinitions['coppice.task.ended'].labels.state.replace('the end: ', '').split(', '),
      ends,
    ],
    ['the task machine', () => Object.keys(taskMachine.root.states), living],
  ];

  test.each(lists)('%s: has all states; a missing new one is found', (_name, list, states) => {
    expect(missingIn(list(), states)).toEqual(Object.keys(added).filter((state) => states.includes(state)));
  });
});

describe('agent kinds', () => {
  const fakeSchema = z.object({ kind: z.literal('fake'), colour: z.string() });
  const fake: AgentKind = { states: {}, newFields: () => ({ colour: 'green' }) };
  const kinds = { ...agentKinds, fake };
  const names = kindNamesOf<string>([...agentSchemas, fakeSchema]);

  test('a run file may use a new agent kind', () => {
    const agent = { kind: 'fake', colour: 'green' };
    expect(agentSchema.safeParse(agent).success).toBe(false);
    expect(agentSchemaOf([...agentSchemas, fakeSchema]).parse(agent)).toEqual(agent);
    expect(names).toEqual([...agentKindNames, 'fake']);
  });

  test('the task machine has a state for a new agent kind, and a task has its fields', () => {
    expect(Object.keys(agentStates(kinds))).toEqual(['choosing', ...Object.keys(kinds)]);
    const agent = agentSchema.parse({ kind: 'loop' });
    expect(newAgentFields(agent, kinds)).toMatchObject({ ...newAgentFields(agent), colour: 'green' });
  });

  const lists: Record<string, () => readonly string[]> = {
    "the orchestrator's registry": () => Object.keys(agentKinds),
    'folders in apps/orchestrator/src/agents': () => foldersIn('apps/orchestrator/src/agents'),
    'the protocol document': () =>
      [...read('docs/protocol.md').matchAll(/"kind": "([a-z]+)"/g)].map(([, kind = '']) => kind),
    'the guide to run files': () =>
      [...read('docs/run-file.md').matchAll(/\{ kind: ([a-z]+)/g)].map(([, kind = '']) => kind),
  };

  test.each(Object.entries(lists))('%s: has all kinds; a missing new one is found', (_name, list) => {
    expect(missingIn(list(), names)).toEqual(['fake']);
  });
});

describe('vendors', () => {
  const acme = {
    providers: { acme: 'openai-chat' },
    baseUrl: 'https://api.acme.example/v1',
    address: { variable: 'ACME_BASE_URL', form: 'url' },
    key: { variables: ['ACME_API_KEY', 'ACME_TOKEN'], pattern: /\bACME-[a-z0-9]{8,}/i },
    prefixes: ['ACME_'],
    help: ['the model provider "acme"'],
  } as const;
  const extended: VendorRegistry<WireName> = { ...vendors, acme };
  const variables = ['ACME_BASE_URL', 'ACME_API_KEY', 'ACME_API_KEY_FILE', 'ACME_TOKEN', 'ACME_TOKEN_FILE'];

  test('the gateway reads the variables of a new vendor, and has its provider', () => {
    expect(Object.keys(vendorVariablesOf(extended))).toEqual(expect.arrayContaining(variables));
    const [provider] = vendorServersOf(extended, { ACME_TOKEN: 'k' }).filter(({ name }) => name === 'acme');
    expect(provider).toMatchObject({ baseUrl: acme.baseUrl, key: 'k', keyRequired: 'ACME_API_KEY' });
  });

  test("only the gateway gets the variables, and the gateway's file may name them", () => {
    for (const variable of [...variables, 'ACME_ORGANISATION']) {
      expect([variable, isOfTheGateway(variable), isOfTheGateway(variable, extended)]).toEqual([variable, false, true]);
      expect(isVendorVariable(variable, extended)).toBe(true);
      expect(keyVariablePattern(vendors).test(variable)).toBe(false);
      expect(keyVariablePattern(extended).test(variable)).toBe(true);
    }
  });

  test('doctor and help name a new vendor', () => {
    expect(howToGetModels(extended)).toContain(', or ACME_API_KEY, or start');
    expect(environmentHelpOf(extended)).toMatch(
      /^ {2}ACME_API_KEY \(or ACME_TOKEN\), ACME_BASE_URL {3}the model provider "acme"$/m,
    );
    expect(environmentHelp).not.toContain('ACME');
  });

  test('the keys of a new vendor are redacted in logs', () => {
    const text = 'refused: acme-0123456789 is not valid, nor is acme-abcdefghij';
    expect(redactionFor(vendors)(text)).toBe(text);
    expect(redactionFor(extended)(text)).toBe('refused: [redacted] is not valid, nor is [redacted]');
  });

  const documented = () => [...read('docs/models.md').matchAll(/`([A-Z_]+)`/g)].map(([, name = '']) => name);
  const variablesIn = (registry: VendorRegistry) => Object.values(registry).flatMap(variablesOf);

  test('docs/models.md has all variables, and the comparison finds that new ones are missing', () => {
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
    'folders in apps/llm-gateway/src/wires': () => foldersIn('apps/llm-gateway/src/wires'),
  };

  test.each(Object.entries(lists))('%s: has all formats; a missing new one is found', (_name, list) => {
    expect(missingIn(list(), wireNames)).toEqual([]);
    expect(missingIn(list(), extended)).toEqual(['new-format']);
    expect(missingIn(wireNames, list())).toEqual([]);
  });

  test.each(wireNames)(
    "%s: the headers with the key can't be set in the gateway's file, and are redacted in logs",
    (name) => {
      for (const header of Object.keys(wireOf(name, 'http://127.0.0.1:1').keyHeaders('k'))) {
        expect(header).toMatch(keyHeader);
        expect(secretFields).toContain(header.includes('-') ? `["${header}"]` : header);
      }
    },
  );
});
