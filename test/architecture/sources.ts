import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const projectFolder = join(import.meta.dirname, '../..');

export type SourceFile = {
  /** Path from the checkout's root folder, such as `libs/bus/src/nats.ts`. */
  path: string;
  text: string;
  imports: readonly string[];
};

export function readSources(folders: readonly string[]): SourceFile[] {
  return folders.flatMap((folder) =>
    readdirSync(join(projectFolder, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.[cm]?[jt]s$/.test(entry.name) && !/node_modules/.test(entry.parentPath))
      .map((entry) => toSource(join(entry.parentPath, entry.name))),
  );
}

function toSource(file: string): SourceFile {
  const text = readFileSync(file, 'utf8');
  return { path: file.slice(projectFolder.length + 1), text, imports: importsOf(text) };
}

/** Returns the specifiers of static imports, dynamic imports and re-exports. Ignores comments. */
export function importsOf(text: string): string[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
  const patterns = [
    /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]/gm,
    /^\s*import\s*['"]([^'"]+)['"]/gm,
    /\bimport\(\s*['"]([^'"]+)['"]/g,
    /\brequire\(\s*['"]([^'"]+)['"]/g,
  ];
  return [...new Set(patterns.flatMap((pattern) => [...code.matchAll(pattern)].map((match) => String(match[1]))))];
}

/** Returns true for files that aren't shipped, such as tests and programs that only tests start. */
export function isTestFile(path: string): boolean {
  return (
    /\.test\.ts$|\/test-programs\/|\/(test-support|testing)\/|\/conformance[^/]*\.ts$|^test\//.test(path) ||
    path.startsWith('libs/testing/') ||
    path.startsWith('libs/contracts/published/')
  );
}
