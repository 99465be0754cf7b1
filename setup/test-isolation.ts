/**
 * Finds the test files that need a separate process. All other test files of libs/ and apps/ share processes. When each
 * file had its own process, process starts and package loading took two fifths of the CPU time of the gateway's tests.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const projectFolder = join(import.meta.dirname, '..');
/**
 * Folders with unit tests. All other tests start whole systems, so the cost of a separate process doesn't matter for
 * them.
 */
const folders = ['libs', 'apps'] as const;
export const unitTests = folders.map((folder) => `${folder}/**/*.test.ts`);
/** Matches code that changes the state of its process. Such a change would affect the next test file in the process. */
const processState =
  /\bstartTelemetry\b|\bvi\.|\bprocess\.(chdir|umask)\b|process\.env(\.\w+|\[[^\]]+\]) = |delete process\.env/;

/** Returns the unit tests that change the state of their process, as paths relative to the project folder. */
export function isolatedUnitTests(): string[] {
  return globSync(unitTests, { cwd: projectFolder, exclude: ['**/node_modules/**'] }).filter((file) =>
    processState.test(readFileSync(join(projectFolder, file), 'utf8')),
  );
}
