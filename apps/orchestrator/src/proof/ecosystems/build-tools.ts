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
    options: { file: ['-f', '--file', '--makefile'], value: ['-C', '--directory', '-I', '-j', '-o', '-W'] },
  }),
  just: {
    files: ['justfile', '.justfile', '*.just'],
    options: { file: ['-f', '--justfile'], value: ['-d', '--working-directory'] },
  },
  ...named('task go-task', {
    files: ['Taskfile.*', 'taskfile.*'],
    options: { file: ['-t', '--taskfile'], value: ['-d', '--dir'] },
  }),
  ...named('mise rtx', {
    files: ['mise.toml', '.mise.toml', 'mise.*.toml', '.mise', '.tool-versions', '**/.config/mise/**'],
    subcommands: {
      exec: { runs: 'command', files: ['mise.toml', '.mise.toml', '.tool-versions'] },
      x: { runs: 'command', files: ['mise.toml', '.mise.toml', '.tool-versions'] },
    },
  }),
  ...named('bazel bazelisk', { files: bazel, options: { file: ['--bazelrc'] } }),
  ...named('buck buck2', { files: ['.buckconfig*', 'BUCK', 'BUCK.v2', 'TARGETS', 'PACKAGE', '*.bzl'] }),
  ...named('pants please plz', { files: ['pants.toml', 'pants.ci.toml', 'BUILD', 'BUILD.*', '.plzconfig*'] }),
  ...named('cmake ctest cpack', { files: [...cmake, ...make], options: { file: ['-P', '-S', '-C'] } }),
  ninja: { files: ['build.ninja', '*.ninja', ...cmake], options: { file: ['-f'], value: ['-C', '-j'] } },
  meson: { files: ['meson.build', 'meson_options.txt', 'meson.options', 'meson.*'] },
  ...named('autoreconf automake autoconf', { files: ['configure.ac', 'configure.in', 'Makefile.am', '*.m4'] }),
  scons: { files: ['SConstruct', 'SConscript', '**/site_scons/**'] },
  waf: { files: ['wscript'] },
  earthly: { files: ['Earthfile'] },
  dagger: { files: ['dagger.json'] },
  tup: { files: ['Tupfile', 'Tuprules.tup'] },
  ...named('gcc g++ cc c++ clang clang++ ld ar nm objdump strip', {}),
  ...named('clang-tidy clang-format', { files: ['.clang-tidy', '.clang-format'] }),
};
