import { named, words } from '../program.ts';
import type { Ecosystem, Program } from '../program.ts';

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
  'Makefile.toml',
  'deny.toml',
  '*tarpaulin.toml',
];

export const cargo: Ecosystem = {
  cargo: { files: rust, reports: /(^|(?<!nextest) )(run|r)( |$)/, options: { file: ['--config', '--manifest-path'] } },
  ...named('rustc rustfmt rustdoc', { files: rust }),
  cross: { files: ['Cross.toml', ...rust], reports: /(^| )(run|r)( |$)/ },
};

const module = ['go.mod', 'go.sum', 'go.work', 'go.work.sum'];

export const go: Ecosystem = {
  go: {
    files: module,
    reports: /^generate( |$)/,
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

export const dotnet: Ecosystem = named('dotnet msbuild', {
  files: projects,
  reports: /(^| )run( |$)|\.(dll|exe)( |$)/,
  options: { file: ['-s', '--settings'] },
});

export const swift: Ecosystem = {
  swift: {
    files: ['Package.swift', 'Package@swift-*.swift', 'Package.resolved', '.swiftpm'],
    reports: /(^| )run( |$)/,
  },
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
  '**/lib/mix/tasks/**',
  '**/config/sys.config',
];

export const elixir: Ecosystem = {
  mix: {
    files: beam,
    subcommands: {
      run: { files: beam, runs: 'script', options: { code: ['-e', '--eval'], file: ['-r', '--require'] } },
      eval: { files: beam, reports: /^/ },
    },
  },
  ...named('rebar3 rebar', { files: beam }),
  gleam: { files: ['gleam.toml', 'manifest.toml'], reports: /^(run|dev)( |$)/ },
  elixir: {
    files: beam,
    runs: 'script',
    options: { code: ['-e', '--eval'], file: ['-r'], value: ['-S', '--name', '--sname'] },
  },
};

const haskell = ['*.cabal', 'cabal.project*', 'stack.yaml', 'package.yaml', 'Setup.hs', 'hie.yaml'];
const ocaml = ['dune', 'dune-project', 'dune-workspace', '*.opam', 'dune.inc'];
const containers = [
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
];
/**
 * A program that runs a command in a container. Each use is reported, since the analysis doesn't find out where the
 * container mounts the work tree.
 */
const inContainer: Program = {
  files: containers,
  runs: 'command',
  operands: 1,
  needsCommand: true,
  reports: /^/,
  options: {
    value: words(
      `-v --volume -w --workdir -e --env --env-file -u --user -p --publish -h --hostname -m --memory -l --label --name --network --net
      --mount --entrypoint --platform --cpus --gpus --tmpfs --add-host --cap-add --cap-drop --security-opt --ulimit --shm-size --pull --index`,
    ),
  },
};
const runsContainer = { run: inContainer, exec: inContainer, create: inContainer };

/** Ecosystems that need little more than a list of files. */
export const others: Ecosystem = {
  zig: { files: ['build.zig', 'build.zig.zon'], reports: /^build (.* )?run( |$)/ },
  ...named('dart flutter', {
    files: ['pubspec.yaml', 'pubspec.lock', 'dart_test.yaml', 'analysis_options.yaml', 'pubspec_overrides.yaml'],
    reports: /^run( |$)/,
  }),
  ...named('cabal stack ghc', { files: haskell, reports: /(^| )(run|exec|eval)( |$)/, options: { code: ['-e'] } }),
  ...named('runghc runhaskell', { files: haskell, runs: 'script', resolves: ['{}.hs'], options: { code: ['-e'] } }),
  dune: { files: ocaml, reports: /^exec( |$)/ },
  opam: { files: ocaml, subcommands: { exec: { files: ocaml, runs: 'command' } } },
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
  ...named('nimble nim', { files: ['*.nimble', 'nim.cfg', 'config.nims'], reports: /^(run|r|e|c|cc|cpp|js)( |$)/ }),
  ...named('crystal shards', { files: ['shard.yml', 'shard.lock'], reports: /^(run|eval)( |$)/ }),
  lua: { runs: 'script', options: { code: ['-e'], file: ['-l'] } },
  busted: { files: ['.busted'] },
  ...named('docker docker-compose podman', {
    files: containers,
    options: { file: ['-f', '--file'], value: ['-p', '--project-name', '--profile', '--project-directory'] },
    subcommands: runsContainer,
  }),
  bats: { files: ['test_helper.bash', '**/test_helper', 'setup_suite.bash'] },
  shellcheck: { files: ['.shellcheckrc'] },
  tclsh: { runs: 'script' },
};
