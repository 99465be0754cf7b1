/** Tests that the settings of docker-compose.yml are documented for operators, and have the documented effect. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { temporaryFolder } from '@coppice/testing';
import { startHealthServer } from '@coppice/service';
import { expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { whyWithoutCompose } from './support/engines.ts';

const absent = await whyWithoutCompose();
const projectFolder = path.resolve(import.meta.dirname, '..');
const read = (name: string) => readFileSync(path.join(projectFolder, name), 'utf8');

test('the guide lists exactly the variables of docker-compose.yml, with their defaults', () => {
  const compose = read('docker-compose.yml').replaceAll(/#.*$/gm, '');
  const used = new Map(
    [...compose.matchAll(/\$\{(\w+):?-([^}]*)\}/g)].map(([, name = '', text = '']) => [name, text] as const),
  );
  const section = read('docs/operations.md').split('\n### Settings\n')[1]?.split('\n### ')[0] ?? '';
  const rows = section.split('\n').filter((line) => line.startsWith('| `'));
  const documented = rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name]) => name));
  expect(new Set(documented)).toEqual(new Set(used.keys()));
  const rowOf = (name: string) => rows.find((row) => row.includes(`\`${name}\``)) ?? '';
  const wrong = [...used].filter(([name, text]) => rowOf(name).split('|')[2]?.includes(text) !== true);
  expect(wrong).toEqual([]);
});

test('the health check of a service needs no Node, and passes only for the status 200', async () => {
  const compose = parseYaml(read('docker-compose.yml')) as { 'x-service': { healthcheck: { test: string[] } } };
  const [kind, program = '', ...words] = compose['x-service'].healthcheck.test;
  expect([kind, program]).toEqual(['CMD', 'bash']);
  let isReady = true;
  const server = await startHealthServer(
    { host: '127.0.0.1', port: 0 },
    { whyNotReady: async () => (isReady ? null : 'starting'), metrics: null },
  );
  // The command as compose passes it to the container. Only the port differs, since the test's server gets a free port.
  const given = words.map((word) => word.replaceAll('$$', '$').replace('/8080', `/${server.port}`));
  const check = () => promisify(execFile)(program, given, { timeout: 30_000 });
  await check();
  isReady = false;
  await expect(check()).rejects.toMatchObject({ code: 1 });
  await server.close();
  await expect(check()).rejects.toMatchObject({ code: 1 });
});

test.skipIf(absent !== null)("a file .env with the guide's lines scales the services and adds Prometheus", async () => {
  const guide = read('docs/operations.md');
  const [scaling = ''] = /lasts until the next `up`.*/.exec(guide) ?? [];
  const lines = [...scaling.matchAll(/`(COPPICE_\w+=\d)`/g)].map(([, line = '']) => line);
  const [, profile = ''] = /^echo (COMPOSE_PROFILES=\S+) >> \.env$/m.exec(guide) ?? [];
  await using folder = await temporaryFolder('compose-settings');
  const file = path.join(folder.path, '.env');
  await writeFile(file, [...lines, profile, ''].join('\n'));
  const program = process.env['COPPICE_DOCKER_COMPOSE'] ?? 'docker-compose';
  const options = ['--env-file', file, '--file', path.join(projectFolder, 'docker-compose.yml')];
  const { stdout } = await promisify(execFile)(program, [...options, 'config', '--format', 'json']);
  const { services } = JSON.parse(stdout) as { services: Record<string, { scale?: number }> };
  const scales = Object.entries(services).flatMap(([name, { scale }]) => (scale === undefined ? [] : [[name, scale]]));
  expect(Object.fromEntries(scales)).toEqual({
    orchestrator: 3,
    'llm-gateway': 3,
    'worktree-service': 2,
    'container-service': 2,
  });
  expect(Object.keys(services)).toContain('prometheus');
});
