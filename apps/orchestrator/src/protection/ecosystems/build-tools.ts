import { named } from '../program.ts';
import type { Ecosystem } from '../program.ts';

const make = ['Makefile', 'GNUmakefile', '*.mk', 'Makefile.*'];
const bazel = [
  'WORKSPACE',
  'WORKSPACE.*',
  'MODULE.bazel',
  '*.MODULE.bazel',
  'MODULE.bazel.lock',
  'BUILD',
  'BUILD.bazel',
  '*.bzl',
  '.bazelrc',
  '*.bazelrc',
  '.bazelversion',
  '.bazeliskrc',
  '.bazelignore',
  'REPO.bazel',
  '**/tools/bazel',
];
const cmake = [
  'CMakeLists.txt',
  '*.cmake',
  '*.cmake.in',
  'CMakePresets.json',
  'CMakeUserPresets.json',
  'CTestConfig.*',
  'CTestCustom.*',
];

export const buildTools: Ecosystem = {
  ...named('make gmake bmake', {
    files: make,
    commandList: { operands: /^/, file: 'the Makefile' },
    options: {
      code: ['--eval', '-E'],
      file: ['-f', '--file', '--makefile'],
      value: ['-C', '--directory', '-I', '-j', '-o', '-W'],
    },
  }),
  just: {
    files: ['justfile', '.justfile', '*.just'],
    commandList: { operands: /^/, file: 'the justfile' },
    options: { file: ['-f', '--justfile'], value: ['-d', '--working-directory'] },
  },
  ...named('task go-task', {
    files: ['Taskfile.*', 'taskfile.*'],
    commandList: { operands: /^/, file: 'the Taskfile' },
    options: { file: ['-t', '--taskfile'], value: ['-d', '--dir'] },
  }),
  ...named('mise rtx', {
    files: [
      'mise.toml',
      '.mise.toml',
      'mise.*.toml',
      '.mise',
      '.tool-versions',
      '**/.config/mise/**',
      'mise-tasks',
      '.mise-tasks',
      '**/mise/tasks/**',
    ],
    subcommands: {
      exec: { runs: 'command', files: ['mise.toml', '.mise.toml', '.tool-versions'] },
      x: { runs: 'command', files: ['mise.toml', '.mise.toml', '.tool-versions'] },
    },
  }),
  ...named('bazel bazelisk', {
    files: bazel,
    reports: /(^| )run( |$)/,
    options: { file: ['--bazelrc'], command: ['--run_under'] },
  }),
  ...named('buck buck2', {
    files: ['.buckconfig*', 'BUCK', 'BUCK.v2', 'TARGETS', 'PACKAGE', '*.bzl'],
    reports: /(^| )run( |$)/,
  }),
  ...named('pants please plz', {
    files: ['pants.toml', 'pants.ci.toml', 'BUILD', 'BUILD.*', '.plzconfig*'],
    reports: /(^| )run( |$)/,
  }),
  ...named('cmake ctest cpack', {
    files: [...cmake, ...make],
    options: { file: ['-P', '-S', '-C'], program: ['-E'] },
    optionPrograms: {
      '-E': {
        files: cmake,
        subcommands: {
          chdir: { runs: 'command', operands: 1 },
          env: { runs: 'command' },
          time: { runs: 'command' },
        },
      },
    },
  }),
  ninja: { files: ['build.ninja', '*.ninja', ...cmake], options: { file: ['-f'], value: ['-C', '-j'] } },
  meson: {
    files: ['meson.build', 'meson_options.txt', 'meson.options', 'meson.*'],
    options: { command: ['--wrap', '--wrapper'] },
    subcommands: { devenv: { files: ['meson.build'], runs: 'command', options: { value: ['-C', '-w'] } } },
  },
  ...named('autoreconf automake autoconf', { files: ['configure.ac', 'configure.in', 'Makefile.am', '*.m4'] }),
  scons: { files: ['SConstruct', 'SConscript', '**/site_scons/**'] },
  waf: { files: ['wscript'] },
  earthly: { files: ['Earthfile'] },
  dagger: { files: ['dagger.json'], reports: /^/ },
  tup: { files: ['Tupfile', 'Tuprules.tup'] },
  ...named('gcc g++ cc c++ clang clang++ ld ar nm objdump strip', {}),
  ...named('clang-tidy clang-format', { files: ['.clang-tidy', '.clang-format'] }),
};
