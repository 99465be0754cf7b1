import { named } from '../program.ts';
import type { Ecosystem } from '../program.ts';

const rust = [
  'Cargo.toml',
  'Cargo.lock',
  'build.rs',
  '.cargo',
  'rust-toolchain',
  'rust-toolchain.toml',
  'clippy.toml',
  '.clippy.toml',
  'rustfmt.toml',
  '.rustfmt.toml',
  '**/.config/nextest.toml',
  'xtask',
];

export const cargo: Ecosystem = {
  cargo: { files: rust, options: { file: ['--config', '--manifest-path'] } },
  ...named('rustc rustfmt rustdoc', { files: rust }),
  cross: { files: ['Cross.toml', ...rust] },
};

const module = ['go.mod', 'go.sum', 'go.work', 'go.work.sum'];

export const go: Ecosystem = {
  go: {
    files: module,
    options: { file: ['-exec', '-toolexec', '-overlay', '-modfile'], value: ['-C'] },
    subcommands: { run: { files: module, runs: 'script', resolves: ['{}/**'] } },
  },
  gotestsum: { files: module },
  ginkgo: { files: module },
  'golangci-lint': { files: ['.golangci.*', ...module] },
  ...named('gofmt staticcheck govulncheck', { files: [...module, 'staticcheck.conf'] }),
};

const projects = [
  '*.csproj',
  '*.fsproj',
  '*.vbproj',
  '*.proj',
  '*.sln',
  '*.slnx',
  '*.slnf',
  '*.props',
  '*.targets',
  '*.runsettings',
  'Directory.*.rsp',
  'global.json',
  'nuget.config',
  'packages.lock.json',
  'xunit.runner.json',
  '*.testconfig.json',
  'testconfig.json',
  '**/.config/dotnet-tools.json',
];

export const dotnet: Ecosystem = named('dotnet msbuild', { files: projects, options: { file: ['-s', '--settings'] } });

export const swift: Ecosystem = {
  swift: { files: ['Package.swift', 'Package@swift-*.swift', 'Package.resolved', '.swiftpm'] },
  xcodebuild: { files: ['*.xcodeproj', '*.xcworkspace', '*.xcconfig', '*.xctestplan', 'Package.swift'] },
  fastlane: { files: ['Fastfile', 'Gemfile', 'Gemfile.lock'] },
};

const beam = [
  'mix.exs',
  'mix.lock',
  'test_helper.exs',
  '.formatter.exs',
  '.credo.exs',
  'rebar.config',
  'rebar.lock',
  'erlang.mk',
  '**/config/*.exs',
  '**/config/sys.config',
];

export const elixir: Ecosystem = {
  ...named('mix rebar3 rebar', { files: beam }),
  gleam: { files: ['gleam.toml', 'manifest.toml'] },
  elixir: {
    files: beam,
    runs: 'script',
    options: { code: ['-e', '--eval'], file: ['-r'], value: ['-S', '--name', '--sname'] },
  },
};

/** Ecosystems that are fully described by a list of files. */
export const others: Ecosystem = {
  zig: { files: ['build.zig', 'build.zig.zon'] },
  ...named('dart flutter', {
    files: ['pubspec.yaml', 'pubspec.lock', 'dart_test.yaml', 'analysis_options.yaml', 'pubspec_overrides.yaml'],
    subcommands: { run: { runs: 'script', files: ['pubspec.yaml'] } },
  }),
  ...named('cabal stack runghc ghc', {
    files: ['*.cabal', 'cabal.project*', 'stack.yaml', 'package.yaml', 'Setup.hs', 'hie.yaml'],
  }),
  ...named('dune opam', { files: ['dune', 'dune-project', 'dune-workspace', '*.opam', 'dune.inc'] }),
  julia: {
    files: ['Project.toml', 'Manifest.toml', 'runtests.jl', 'LocalPreferences.toml'],
    runs: 'script',
    options: { code: ['-e', '-E', '--eval'], file: ['-L', '--load'] },
  },
  ...named('Rscript R', {
    files: ['DESCRIPTION', '.Rprofile', 'renv.lock', 'NAMESPACE'],
    runs: 'script',
    options: { code: ['-e'], file: ['-f'] },
  }),
  ...named('nimble nim', { files: ['*.nimble', 'nim.cfg', 'config.nims'] }),
  ...named('crystal shards', { files: ['shard.yml', 'shard.lock'] }),
  lua: { runs: 'script', options: { code: ['-e'], file: ['-l'] } },
  busted: { files: ['.busted'] },
  ...named('docker docker-compose podman', {
    files: [
      'Dockerfile',
      'Dockerfile.*',
      '*.Dockerfile',
      'Containerfile',
      'compose.yaml',
      'compose.yml',
      'compose.*.y*ml',
      'docker-compose*.y*ml',
      '.dockerignore',
      'docker-bake.*',
    ],
    options: { file: ['-f', '--file'] },
  }),
  bats: {},
  shellcheck: { files: ['.shellcheckrc'] },
  tclsh: { runs: 'script' },
};
