/**
 * Which test files need a process of their own. All others of libs/ and apps/ share processes: starting one and loading the
 * packages again for each file took two fifths of the processor time of the gateway's tests.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const projectFolder = join(import.meta.dirname, '..');
/** Folders with unit tests. The tests elsewhere start whole systems, so a process more is nothing to them. */
const folders = ['libs', 'apps'] as const;
export const unitTests = folders.map((folder) => `${folder}/**/*.test.ts`);
/** What outlives a test file in its process: telemetry's global providers, and settings and functions of the process itself. */
const processState =
  /\bstartTelemetry\b|\bvi\.|\bprocess\.(chdir|umask)\b|process\.env(\.\w+|\[[^\]]+\]) = |delete process\.env/;

/** Paths of the unit tests that change the state of their process, from the project folder. */
export function isolatedUnitTests(): string[] {
  return globSync(unitTests, { cwd: projectFolder, exclude: ['**/node_modules/**'] }).filter((file) =>
    processState.test(readFileSync(join(projectFolder, file), 'utf8')),
  );
}
