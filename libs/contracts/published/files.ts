/**
 * Writes, checks and releases the files of the contract. Their folder contains asyncapi.yaml, schemas/ and released/.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import { breakingChanges } from './breaking.ts';
import type { Contract } from './breaking.ts';
import { asyncApiDocument, standaloneSchemas } from './document.ts';
import { isBreakAllowed, newest } from './versions.ts';

const documentName = 'asyncapi.yaml';

/** Returns the expected content of each file, by its path in the folder. */
function filesOf(version: string): Record<string, string> {
  // Descriptions aren't wrapped, and shared schemas have names instead of YAML anchors.
  const document = stringify(asyncApiDocument(version), { lineWidth: 0, aliasDuplicateObjects: false });
  const schemas = Object.entries(standaloneSchemas()).map(([name, schema]) => [
    `schemas/${name}.json`,
    `${JSON.stringify(schema, null, 2)}\n`,
  ]);
  return { [documentName]: `# Made by \`npm run contract\`.\n${document}`, ...Object.fromEntries(schemas) };
}

function read(folder: string, name: string): string | null {
  const file = path.join(folder, name);
  return existsSync(file) ? readFileSync(file, 'utf8') : null;
}

const namesIn = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);

export function write(folder: string, version: string): void {
  rmSync(path.join(folder, 'schemas'), { recursive: true, force: true });
  mkdirSync(path.join(folder, 'schemas'), { recursive: true });
  for (const [name, content] of Object.entries(filesOf(version))) writeFileSync(path.join(folder, name), content);
}

/** @returns one sentence for each file that differs from the schemas in src/ */
function outdated(folder: string, version: string): string[] {
  const files = filesOf(version);
  const present = namesIn(path.join(folder, 'schemas')).map((name) => `schemas/${name}`);
  const stale = Object.keys(files).filter((name) => read(folder, name) !== files[name]);
  return [...stale, ...present.filter((name) => !(name in files))].map(
    (name) => `libs/contracts/published/${name} isn't current: npm run contract`,
  );
}

/**
 * @returns one sentence for each change that breaks clients of the last release, and none if the version allows
 * breaking changes
 */
function broken(folder: string, version: string): string[] {
  const released = newest(namesIn(path.join(folder, 'released')));
  if (released === null) return ['nothing is released: npm run contract -- release'];
  if (isBreakAllowed(released, version)) return [];
  const before = parse(read(folder, `released/${released}/${documentName}`) ?? '') as Contract;
  const after = parse(read(folder, documentName) ?? '') as Contract;
  return breakingChanges(before, after).map((change) => `breaks clients of ${released}: ${change}`);
}

/**
 * Checks that the files are current and break no client.
 * @returns one sentence for each problem
 */
export function check(folder: string, version: string): string[] {
  const stale = outdated(folder, version);
  return stale.length > 0 ? stale : broken(folder, version);
}

/**
 * Copies the document to released/. A released version never changes.
 * @returns one sentence for each problem that prevents the release
 */
export function release(folder: string, version: string): string[] {
  const name = `released/${version}/${documentName}`;
  if (read(folder, name) !== null) return [`${version} is released: raise the version in libs/contracts/package.json`];
  const isFirst = newest(namesIn(path.join(folder, 'released'))) === null;
  const problems = isFirst ? outdated(folder, version) : check(folder, version);
  if (problems.length > 0) return problems;
  mkdirSync(path.join(folder, path.dirname(name)), { recursive: true });
  writeFileSync(path.join(folder, name), read(folder, documentName) ?? '');
  return [];
}
