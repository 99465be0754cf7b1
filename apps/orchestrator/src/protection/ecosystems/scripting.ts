import { named } from '../program.ts';
import type { Ecosystem } from '../program.ts';

const bundle = ['Gemfile', 'Gemfile.lock', 'gems.rb', 'gems.locked', '.bundle', '.ruby-version'];
const rspec = ['.rspec', '.rspec-local', 'spec_helper.rb', 'rails_helper.rb', ...bundle];
const rake = ['Rakefile', 'Rakefile.rb', '*.rake', 'test_helper.rb', ...rspec];

export const ruby: Ecosystem = {
  ruby: {
    runs: 'script',
    resolves: ['{}.rb'],
    options: { code: ['-e'], file: ['-r'], folder: ['-I'], value: ['-C', '-W', '-E'] },
  },
  ...named('rspec parallel_rspec', {
    files: rspec,
    options: { file: ['-r', '--require', '-O', '--options'], value: ['-e', '-t', '-I', '-f'] },
  }),
  rake: { files: rake, options: { file: ['-f', '--rakefile', '-r', '--require'] } },
  rails: {
    files: [...rake, ...rspec, '**/bin/rails', '**/config/*.rb', '**/config/environments/*.rb', 'config.ru'],
    reports: /^(runner|r)( |$)/,
  },
  bundle: {
    files: [...bundle, ...rake, ...rspec],
    subcommands: { exec: { files: [...bundle, ...rake, ...rspec], runs: 'command' } },
  },
  cucumber: { files: ['cucumber.yml', '**/features/support/**', ...bundle] },
  ...named('minitest m', { files: rake }),
  ...named('rubocop standardrb', { files: ['.rubocop*.yml', '.standard.yml', ...bundle] }),
};

const composer = ['composer.json', 'composer.lock', 'auth.json'];
const phpunit = [
  'phpunit.xml',
  'phpunit.xml.dist',
  'phpunit.dist.xml',
  'Pest.php',
  '**/tests/bootstrap.php',
  ...composer,
];

export const php: Ecosystem = {
  php: {
    files: ['php.ini', '.user.ini'],
    runs: 'script',
    options: { code: ['-r', '-B', '-R', '-E'], file: ['-f', '-c', '-F'], setting: ['-d'], value: ['-S', '-t'] },
  },
  ...named('phpunit paratest pest simple-phpunit', {
    files: phpunit,
    options: { file: ['-c', '--configuration', '--bootstrap'] },
  }),
  ...named('composer', {
    files: [...composer, ...phpunit],
    subcommands: { exec: { files: [...composer, ...phpunit], runs: 'command' } },
  }),
  artisan: { files: [...phpunit, 'artisan'] },
  ...named('codecept behat phpspec', {
    files: ['codeception*.yml', 'behat.yml*', 'behat.dist.yml', 'phpspec.yml*', ...composer],
  }),
  ...named('phpstan psalm phpcs php-cs-fixer rector', {
    files: [
      'phpstan*.neon*',
      'psalm.xml*',
      'phpcs.xml*',
      '.phpcs.xml*',
      '.php-cs-fixer*.php',
      'rector.php',
      ...composer,
    ],
    options: { file: ['-c', '--configuration', '--config', '--standard'] },
  }),
};

export const perl: Ecosystem = {
  perl: { runs: 'script', options: { code: ['-e', '-E'], folder: ['-I', '-Mlib'], value: ['-M', '-m'] } },
  ...named('prove yath', {
    files: ['.proverc', '.yath.rc', 'Makefile.PL', 'Build.PL', 'cpanfile', 'dist.ini'],
    options: {
      command: ['-e', '--exec'],
      folder: ['-I'],
      unknown: ['-l', '--lib', '-b', '--blib'],
      value: ['-j', '-P'],
    },
  }),
};
