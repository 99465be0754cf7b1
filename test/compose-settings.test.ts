/** What can be set in docker-compose.yml is written down for whoever runs it. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

const projectFolder = path.resolve(import.meta.dirname, '..');
const read = (name: string) => readFileSync(path.join(projectFolder, name), 'utf8');

test('each variable of docker-compose.yml is in the guide, with its default, and none else', () => {
  const compose = read('docker-compose.yml').replaceAll(/#.*$/gm, '');
  const used = new Map(
    [...compose.matchAll(/\$\{(\w+):?-([^}]*)\}/g)].map(([, name = '', text = '']) => [name, text] as const),
  );
  const section = read('docs/operations.md').split('\n### Settings\n')[1]?.split('\n### ')[0] ?? '';
  const rows = section.split('\n').filter((line) => line.startsWith('| `'));
  const told = rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name]) => name));
  expect(new Set(told)).toEqual(new Set(used.keys()));
  const rowOf = (name: string) => rows.find((row) => row.includes(`\`${name}\``)) ?? '';
  const wrong = [...used].filter(([name, text]) => rowOf(name).split('|')[2]?.includes(text) !== true);
  expect(wrong).toEqual([]);
});
