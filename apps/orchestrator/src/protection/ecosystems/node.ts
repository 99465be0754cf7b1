import { named, words } from '../program.ts';
import type { Ecosystem, Program } from '../program.ts';

const jest = ['jest.config.*', 'jest.setup.*', 'babel.config.*', '.babelrc*'];
/** Configuration of PostCSS. Vite loads it at the start. */
const postcss = ['postcss.config.*', '.postcssrc*'];
const vitest = ['vitest.config.*', 'vitest.workspace.*', 'vite.config.*', ...postcss];
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
const typescript = ['tsconfig.json', 'tsconfig.*.json'];
const biome = ['biome.json', 'biome.jsonc'];
const oxc = ['.oxlintrc.json', '.oxfmtrc.json*', 'oxlint.config.*'];
const prettier = ['.prettierrc*', 'prettier.config.*', '.prettierignore'];
const otherCheckers = ['.stylelintrc*', 'stylelint.config.*', '.dependency-cruiser.*', 'knip.*', 'dprint.json'];
const bundlers = [
  ...postcss,
  'vite.config.*',
  'next.config.*',
  'nuxt.config.*',
  'astro.config.*',
  'webpack.config.*',
  'rollup.config.*',
  'tsup.config.*',
  'svelte.config.*',
  'angular.json',
];

/**
 * Configuration of programs that package scripts usually start. It is protected because the scripts themselves aren't
 * analyzed.
 */
const startedByScripts = [...jest, ...vitest, ...mocha, ...otherRunners, ...coverage, ...monorepo];

const checkNames =
  '(^|[ :_-])(lint|eslint|format|fmt|prettier|style|types?|type-?check|tsc|check|build|compile|bundle|verify|validate)';
/**
 * Files of linters, type checkers and bundlers. They are protected if a script's name suggests that it starts such a
 * tool. `npm test` doesn't protect them, since tasks often change tsconfig.json.
 */
const startedByChecks = (operands: string): Program['filesFor'] & object => ({
  operands: new RegExp(operands, 'i'),
  files: [...eslint, ...typescript, ...biome, ...oxc, ...prettier, ...otherCheckers, ...bundlers],
});
/** `npm ci` installs, and `npm run ci` runs a script. */
const checks = startedByChecks(`${checkNames}|(?<= )ci(?=$|[ :])`);
const yarnChecks = startedByChecks(`${checkNames}|(^| )ci(?=$|[ :])`);

const npm = ['package.json', '.npmrc', 'package-lock.json', 'npm-shrinkwrap.json', ...startedByScripts];
const pnpm = ['package.json', '.npmrc', 'pnpm-workspace.yaml', 'pnpm-lock.yaml', '.pnpmfile.*', ...startedByScripts];
const yarn = ['package.json', '.npmrc', '.yarnrc', '.yarnrc.yml', '.yarn', '.pnp.*', 'yarn.lock', ...startedByScripts];
const bun = ['package.json', 'bunfig.toml', '.npmrc', 'bun.lock', 'bun.lockb', ...typescript, ...startedByScripts];
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
/** Options of Node 24 whose value may be the next word. */
const nodeValues = words(
  `-C --conditions --allow-fs-read --allow-fs-write --build-snapshot-config --cpu-prof-dir --cpu-prof-interval
  --cpu-prof-name --diagnostic-dir --disable-proto --disable-warning --dns-result-order --experimental-sea-config
  --experimental-test-isolation --experimental-test-tag-filter --heap-prof-dir --heap-prof-interval --heap-prof-name
  --heapsnapshot-near-heap-limit --heapsnapshot-signal --icu-data-dir --input-type --debug-port --inspect-port
  --inspect-publish-uid --localstorage-file --max-http-header-size --max-old-space-size-percentage
  --network-family-autoselection-attempt-timeout --openssl-config --redirect-warnings --report-dir --report-directory
  --report-filename --report-signal --secure-heap --secure-heap-min --test-concurrency --test-coverage-branches
  --test-coverage-exclude --test-coverage-functions --test-coverage-include --test-coverage-lines --test-isolation
  --test-name-pattern --test-random-seed --test-reporter-destination --test-rerun-failures --test-shard
  --test-skip-pattern --test-timeout --title --tls-cipher-list --tls-keylog --trace-event-categories
  --trace-event-file-pattern --trace-require-module --unhandled-rejections --use-largepages --v8-pool-size
  --watch-kill-signal --watch-path`,
);

const packageScript = 'the script in package.json';
const npmScripts = {
  operands: /(^| )(t|tst|test|run|run-script|start|stop|restart|it|cit|install-test|install-ci-test)( |$)/,
  file: packageScript,
};
/** For package managers in which every word that isn't a command of the package manager names a script. */
const namedScripts = { operands: /^(?!$|add|ci|config|i( |$)|import|install|link|remove|set|up)/, file: packageScript };
const anyScript = { operands: /^/, file: packageScript };
const starts = (files: readonly string[]): Program => ({
  files,
  runs: 'command',
  options: {
    value: ['-p', '--package', '-w', '--workspace', '--prefix', '-C', '--dir', '--filter', '-F', '--loglevel'],
    flag: words('--yes --quiet --silent --offline --prefer-offline --recursive --workspaces --if-present --bun'),
    command: ['-c', '--call'],
  },
});
const manager = (files: readonly string[], executes: string, more: Program = {}): Program => ({
  files,
  filesFor: checks,
  options: { value: ['--prefix', '-C', '--dir', '--filter', '-F', '-w', '--workspace', '--cwd'] },
  subcommands: named(executes, starts(files)),
  ...more,
});

export const node: Ecosystem = {
  ...named('node nodejs', {
    runs: 'script',
    resolves: scripts,
    options: {
      file: [
        ...loads,
        '--env-file-if-exists',
        '--test-global-setup',
        '--experimental-config-file',
        '--experimental-package-map',
        '--snapshot-blob',
      ],
      code: ['-e', '--eval', '-p', '--print', '-pe'],
      tests: ['--test'],
      load: ['--test-reporter'],
      value: nodeValues,
      program: ['--run'],
    },
    optionPrograms: { '--run': { files: npm, filesFor: checks, commandList: anyScript } },
  }),
  ...named('tsx ts-node ts-node-esm', {
    files: typescript,
    runs: 'script',
    resolves: scripts,
    options: {
      file: [...loads, '-P', '--project', '--tsconfig'],
      code: ['-e', '--eval', '-p', '--print'],
      tests: ['--test'],
      load: ['--test-reporter'],
      value: nodeValues,
    },
  }),
  npm: manager(npm, 'exec x', { commandList: npmScripts }),
  npx: starts(npm),
  pnpm: manager(pnpm, 'exec dlx', { mayStart: true, commandList: namedScripts }),
  ...named('pnpx pnx', starts(pnpm)),
  ...named(
    'yarn yarnpkg',
    manager(yarn, '', {
      mayStart: true,
      filesFor: yarnChecks,
      commandList: namedScripts,
      subcommands: { exec: { files: yarn, runs: 'text' }, dlx: starts(yarn) },
    }),
  ),
  bun: {
    files: bun,
    filesFor: yarnChecks,
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
    options: {
      file: ['-c', '--config', '--setupFiles', '--setupFilesAfterEnv', '--globalSetup', '--globalTeardown'],
      load: words(
        `--testRunner --testEnvironment --env --runner --resolver --reporters --snapshotSerializers --testSequencer
        --testResultsProcessor --filter --watchPlugins --dependencyExtractor --prettierPath`,
      ),
    },
  },
  vitest: {
    files: ['package.json', ...vitest],
    options: {
      file: ['-c', '--config', '--globalSetup'],
      load: ['--reporter', '--environment', '--runner', '--pool', '--sequence.sequencer'],
    },
  },
  ...named('mocha _mocha', {
    files: ['package.json', ...mocha],
    options: {
      file: ['-r', '--require', '--config', '--import', '--loader', '--file', '--package', '--opts'],
      load: ['-R', '--reporter', '-u', '--ui'],
    },
  }),
  ...named('ava tap jasmine karma playwright @playwright/test cypress wtr web-test-runner', {
    files: ['package.json', ...otherRunners],
    options: { file: ['--config', '-c', '--helper', '--require'], load: ['--reporter', '--reporters'] },
  }),
  ...named('@cucumber/cucumber cucumber-js', {
    files: ['package.json', 'cucumber.*', '**/features/support/**'],
    options: {
      file: ['-c', '--config', '-r', '--require', '--require-module', '-i', '--import', '--loader'],
      load: ['-f', '--format'],
    },
  }),
  ...named('nyc c8', {
    files: ['package.json', ...coverage],
    runs: 'command',
    options: {
      file: ['--nycrc-path', '-c', '--config', '--require'],
      load: ['-r', '--reporter'],
      value: words(
        `-o -n -x -e -t --report-dir --reports-dir --temp-dir --temp-directory --cache-dir --cwd --src --include --exclude
        --extension --branches --functions --lines --statements`,
      ),
      flag: words('--all --silent --check-coverage --per-file --clean --cache --instrument --source-map --skip-full'),
    },
  }),
  ...named('@moonrepo/cli moon', { files: ['.moon', 'moon.*'] }),
  ...named('nx turbo lerna rush', {
    files: ['package.json', ...startedByScripts],
    filesFor: yarnChecks,
    subcommands: { exec: { files: ['package.json', ...startedByScripts], runs: 'command' } },
  }),
  ...named('cross-env', { runs: 'command' }),
  'cross-env-shell': { runs: 'text' },
  dotenv: { files: ['.env', '.env.*'], runs: 'command', options: { file: ['-e'] } },
  concurrently: {
    files: npm,
    filesFor: checks,
    runs: 'texts',
    options: { value: ['-n', '--names', '-c', '-p', '--prefix'] },
  },
  ...named('npm-run-all run-s run-p wireit', { files: npm, filesFor: yarnChecks, commandList: anyScript }),
  ...named('tsc vue-tsc tsgo', {
    files: typescript,
    options: { setting: ['-p', '--project'] },
  }),
  eslint: {
    files: [...eslint, 'package.json'],
    options: { file: ['-c', '--config'], load: ['-f', '--format', '--parser', '--plugin'] },
  },
  ...named('biome @biomejs/biome', { files: biome, options: { file: ['--config-path'] } }),
  ...named('oxlint oxfmt', {
    files: oxc,
    options: { file: ['-c', '--config'] },
  }),
  prettier: {
    files: [...prettier, 'package.json'],
    options: { file: ['--config', '--ignore-path'], load: ['--plugin'] },
  },
  ...named('vite next nuxt astro webpack rollup esbuild tsup parcel svelte-kit ng @angular/cli', {
    files: ['package.json', ...typescript, ...otherRunners, ...bundlers],
    options: { file: ['-c', '--config'] },
  }),
  ...named('gulp grunt', { files: ['gulpfile.*', 'Gruntfile.*', 'package.json'] }),
};
