/** Compares the registry of services with the lists of services that aren't derived from it. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { roles } from '@coppice/bus';
import { serviceNames } from '@coppice/contracts';
import { metricDefinitions } from '@coppice/telemetry';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { embeddedServices } from '../apps/cli/src/stack/services.ts';
import { homeFrom } from '../apps/cli/src/stack/home.ts';
import { scaledServices } from './support/compose.ts';

const projectFolder = path.resolve(import.meta.dirname, '..');
const read = (file: string) => readFileSync(path.join(projectFolder, file), 'utf8');

const lists: Record<string, () => readonly string[]> = {
  'users of the bus': () => roles.filter((role) => role !== 'operator' && role !== 'administrator'),
  'the stack in one process': () =>
    embeddedServices({
      home: homeFrom({ COPPICE_HOME: '/nowhere' }),
      engine: 'none',
      imagesFolder: '/nowhere',
      gatewayEnvironment: {},
    }).map(({ name }) => name),
  'docker-compose.yml': () => {
    const { services: all } = parse(read('docker-compose.yml')) as { services: Record<string, { scale?: unknown }> };
    return Object.entries(all).flatMap(([name, { scale }]) => (scale === undefined ? [] : [name]));
  },
  'the scales of the compose test': () => scaledServices,
  'scrape targets of Prometheus': () => {
    const { scrape_configs: jobs } = parse(read('deploy/prometheus/prometheus.yaml')) as {
      scrape_configs: { job_name: string }[];
    };
    return jobs.map(({ job_name: name }) => name.replace(/^coppice-/, ''));
  },
};

const difference = (list: readonly string[], registry: readonly string[]) => ({
  missing: registry.filter((name) => !list.includes(name)),
  unknown: list.filter((name) => !registry.includes(name)),
});

test.each(Object.entries(lists))('%s: has each service, and no other', (_name, list) => {
  expect(difference(list(), serviceNames)).toEqual({ missing: [], unknown: [] });
});

test.each(Object.entries(lists))('%s: the comparison finds that a new service is missing', (_name, list) => {
  expect(difference(list(), [...serviceNames, 'new-service']).missing).toEqual(['new-service']);
});

test('each service has a folder with a main program', () => {
  const programs = serviceNames.map((name) => `apps/${name}/src/main.ts`);
  expect(programs.filter((file) => !existsSync(path.join(projectFolder, file)))).toEqual([]);
});

test('each metric names services, or all, as its reporters', () => {
  const reporters = Object.values(metricDefinitions).flatMap(({ reportedBy }) => reportedBy.split(', '));
  const known = [...serviceNames, 'all services'];
  expect([...new Set(reporters)].filter((name) => !known.includes(name))).toEqual([]);
});
