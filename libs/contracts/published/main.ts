/**
 * Makes the published contract from the schemas in src/, and compares it with the last release.
 *   npm run contract              writes asyncapi.yaml and schemas/
 *   npm run contract -- check     fails if they aren't current, or if a change breaks clients of the last release
 *   npm run contract -- release   copies asyncapi.yaml to released/, under the version in package.json
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { check, release, write } from './files.ts';

const manifest = readFileSync(path.join(import.meta.dirname, '../package.json'), 'utf8');
const { version } = JSON.parse(manifest) as { version: string };

function run(action: string): string[] {
  if (action === 'check') return check(import.meta.dirname, version);
  if (action === 'release') return release(import.meta.dirname, version);
  if (action !== 'write') return [`expected nothing, check or release, received ${action}`];
  write(import.meta.dirname, version);
  return [];
}

const problems = run(process.argv[2] ?? 'write');
for (const problem of problems) process.stderr.write(`${problem}\n`);
if (problems.length > 0) process.exitCode = 1;
