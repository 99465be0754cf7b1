import { named } from '../program.ts';
import type { Ecosystem, Program } from '../program.ts';

const jest = ['jest.config.*', 'jest.setup.*', 'babel.config.*', '.babelrc*'];
const vitest = ['vitest.config.*', 'vitest.workspace.*', 'vite.config.*'];
const mocha = ['.mocharc.*', '.mocharc'];
const otherRunners = [
  'ava.config.*',
  '.taprc',
  'jasmine.json',
  'karma.conf.*',
  'playwright.config.*',
  'cypress.config.*',
  'web-test-runner.config.*',
];
const coverage = ['.nycrc*', 'nyc.config.*', '.c8rc*'];
const monorepo = ['nx.json', 'project.json', 'turbo.json', 'turbo.jsonc', 'lerna.json', 'rush.json'];
const eslint = ['eslint.config.*', '.eslintrc*', '.eslintignore'];

/** Files of the programs that package scripts usually start, since the scripts themselves aren't analyzed. */
const startedByScripts = [...jest, ...vitest, ...mocha, ...otherRunners, ...coverage, ...monorepo];

const npm = ['package.json', '.npmrc', 'package-lock.json', 'npm-shrinkwrap.json', ...startedByScripts];
const pnpm = ['package.json', '.npmrc', 'pnpm-workspace.yaml', 'pnpm-lock.yaml', '.pnpmfile.*', ...startedByScripts];
const yarn = ['package.json', '.npmrc', '.yarnrc', '.yarnrc.yml', '.yarn', '.pnp.*', 'yarn.lock', ...startedByScripts];
const bun = ['package.json', 'bunfig.toml', '.npmrc', 'bun.lock', 'bun.lockb', ...startedByScripts];
const deno = ['deno.json', 'deno.jsonc', 'deno.lock', 'package.json', 'import_map.json'];

const scripts = ['{}.*', '{}/index.*', '{}/package.json'];
const loads = [
  '-r',
  '--require',
  '--import',
  '--loader',
  '--experimental-loader',
  '--env-file',
  '--preload',
  '--config',
];
const starts = (files: readonly string[]): Program => ({
  files,
  runs: 'command',
  options: {
    value: ['-p', '--package', '-w', '--workspace', '--prefix', '-C', '--dir', '--filter', '-F'],
    command: ['-c', '--call'],
  },
});
const manager = (files: readonly string[], executes: string, more: Program = {}): Program => ({
  files,
  options: { value: ['--prefix', '-C', '--dir', '--filter', '-F', '-w', '--workspace', '--cwd'] },
  subcommands: named(executes, starts(files)),
  ...more,
});

export const node: Ecosystem = {
  ...named('node nodejs', {
    runs: 'script',
    resolves: scripts,
    options: {
      file: [...loads, '--test-global-setup', '--experimental-config-file', '--snapshot-blob'],
      code: ['-e', '--eval', '-p', '--print', '-pe'],
      tests: ['--test'],
      value: ['-C', '--conditions', '--test-name-pattern', '--test-reporter', '--test-reporter-destination'],
      program: ['--run'],
    },
    optionPrograms: { '--run': { files: npm } },
  }),
  ...named('tsx ts-node ts-node-esm', {
    files: ['tsconfig.json', 'tsconfig.*.json'],
    runs: 'script',
    resolves: scripts,
    options: {
      file: [...loads, '-P', '--project', '--tsconfig'],
      code: ['-e', '--eval', '-p', '--print'],
      tests: ['--test'],
    },
  }),
  npm: manager(npm, 'exec x'),
  npx: starts(npm),
  pnpm: manager(pnpm, 'exec dlx', { mayStart: true }),
  ...named('pnpx pnx', starts(pnpm)),
  ...named(
    'yarn yarnpkg',
    manager(yarn, '', { mayStart: true, subcommands: { exec: { files: yarn, runs: 'text' }, dlx: starts(yarn) } }),
  ),
  bun: {
    files: bun,
    runs: 'script',
    resolves: scripts,
    options: { file: [...loads, '-c'], code: ['-e', '--eval', '-p', '--print'], value: ['--filter', '--cwd'] },
    subcommands: {
      x: starts(bun),
      test: { files: bun, options: { file: ['--preload', '-r', '--require', '--import', '-c', '--config'] } },
      run: { files: bun, runs: 'script', resolves: scripts },
      install: { files: bun },
      exec: { files: bun, runs: 'command' },
    },
  },
  bunx: starts(bun),
  deno: {
    files: deno,
    options: { file: ['--preload', '--import', '-c', '--config', '--import-map'] },
    subcommands: {
      run: {
        files: deno,
        runs: 'script',
        options: { file: ['--preload', '--import', '-c', '--config', '--import-map'] },
      },
      eval: { files: deno, reports: /^/ },
    },
  },
  corepack: { files: npm, runs: 'command' },
  jest: {
    files: ['package.json', ...jest],
    options: { file: ['-c', '--config', '--setupFiles', '--globalSetup', '--testRunner'] },
  },
  vitest: { files: ['package.json', ...vitest], options: { file: ['-c', '--config', '--globalSetup'] } },
  ...named('mocha _mocha', {
    files: ['package.json', ...mocha],
    options: { file: ['-r', '--require', '--config', '--import', '--file'] },
  }),
  ...named('ava tap jasmine karma playwright cypress wtr web-test-runner', {
    files: ['package.json', ...otherRunners],
    options: { file: ['--config', '-c', '--helper'] },
  }),
  ...named('nyc c8', {
    files: ['package.json', ...coverage],
    runs: 'command',
    options: { file: ['--nycrc-path', '-c', '--config'] },
  }),
  ...named('nx turbo lerna rush', {
    files: ['package.json', ...startedByScripts],
    subcommands: { exec: { files: ['package.json', ...startedByScripts], runs: 'command' } },
  }),
  ...named('cross-env', { runs: 'command' }),
  'cross-env-shell': { runs: 'text' },
  dotenv: { files: ['.env', '.env.*'], runs: 'command', options: { file: ['-e'] } },
  concurrently: { files: npm, runs: 'texts', options: { value: ['-n', '--names', '-c', '-p', '--prefix'] } },
  ...named('npm-run-all run-s run-p wireit', { files: npm }),
  ...named('tsc vue-tsc tsgo', {
    files: ['tsconfig.json', 'tsconfig.*.json'],
    options: { setting: ['-p', '--project'] },
  }),
  eslint: { files: [...eslint, 'package.json'], options: { file: ['-c', '--config'] } },
  biome: { files: ['biome.json', 'biome.jsonc'] },
  ...named('oxlint oxfmt', {
    files: ['.oxlintrc.json', '.oxfmtrc.json*', 'oxlint.config.*'],
    options: { file: ['-c', '--config'] },
  }),
  prettier: { files: ['.prettierrc*', 'prettier.config.*', '.prettierignore', 'package.json'] },
  ...named('vite next nuxt astro webpack rollup esbuild tsup parcel svelte-kit ng', {
    files: [
      'package.json',
      'vite.config.*',
      'next.config.*',
      'nuxt.config.*',
      'astro.config.*',
      'webpack.config.*',
      'rollup.config.*',
      'tsup.config.*',
      'svelte.config.*',
      'angular.json',
    ],
    options: { file: ['-c', '--config'] },
  }),
  ...named('gulp grunt', { files: ['gulpfile.*', 'Gruntfile.*', 'package.json'] }),
};
