/**
 * Runs all static checks (`npm run check`). If a check fails, the checks after it still run.
 *   node setup/check.js [--fix] --fix formats the files, and applies the linter's safe fixes
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { projectFolder } from './paths.js';

const checkTimeoutMs = 5 * 60_000;
const fix = process.argv.includes('--fix');
const packages = join(projectFolder, 'node_modules');

/**
 * The checks. Each runs a script with this process's Node, since the script's `#!` line would start the Node on PATH.
 */
const checks = [
  { name: 'format', script: 'oxfmt/bin/oxfmt', args: fix ? ['.'] : ['--check', '.'] },
  {
    name: 'lint',
    script: 'oxlint/bin/oxlint',
    args: ['--type-aware', '--deny-warnings', ...(fix ? ['--fix'] : []), '.'],
  },
  { name: 'types', script: 'typescript/bin/tsc', args: ['-p', 'tsconfig.json'] },
  { name: 'contract', script: '../libs/contracts/published/main.ts', args: ['check'] },
  { name: 'dead code', script: 'knip/bin/knip.js', args: ['--no-progress'] },
  {
    name: 'architecture',
    script: 'vitest/vitest.mjs',
    args: ['run', 'test/architecture.test.ts', 'test/tidy.test.ts'],
  },
];

const failed = checks.filter(({ name, script, args }) => {
  const startedAt = Date.now();
  process.stdout.write(`\ncheck: ${name}\n`);
  const result = spawnSync(process.execPath, [join(packages, script), ...args], {
    cwd: projectFolder,
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: checkTimeoutMs,
  });
  const passed = result.status === 0;
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`check: ${name} ${passed ? 'passed' : 'FAILED'} (${seconds} s)\n`);
  return !passed;
});

process.stdout.write(`\ncheck: ${checks.length - failed.length} passed, ${failed.length} failed\n`);
if (failed.length > 0) process.exitCode = 1;
