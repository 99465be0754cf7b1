import { named } from '../program.ts';
import type { Ecosystem, Program } from '../program.ts';

const project = ['pyproject.toml', 'setup.cfg', 'setup.py'];
/** Files that Python runs at the start, in any folder of its search path. */
const startup = ['sitecustomize.py', 'usercustomize.py'];
const pytest = [
  ...startup,
  'pytest.ini',
  '.pytest.ini',
  'pytest.toml',
  '.pytest.toml',
  'conftest.py',
  'tox.ini',
  ...project,
];
const coverage = ['.coveragerc', 'tox.ini', ...project];
const uv = ['uv.toml', 'uv.lock', '.python-version', ...project];
const loads: Program['options'] = {
  plugin: ['-p'],
  file: ['-c', '--config-file', '--rootdir', '--confcutdir'],
  value: ['-k', '-m', '-n', '-o', '-W'],
};

const starts = (files: readonly string[]): Program => ({
  files,
  runs: 'command',
  options: {
    value: [
      '--with',
      '--python',
      '-p',
      '--from',
      '--spec',
      '--extra',
      '--group',
      '--package',
      '--directory',
      '--project',
      '--env-file',
      '-C',
    ],
    file: ['--with-requirements'],
    module: ['-m', '--module'],
  },
});
const manager = (files: readonly string[]): Program => ({
  files,
  options: { value: ['--directory', '--project', '-C', '--config-file'] },
  subcommands: { run: starts(files), tool: { files, subcommands: { run: starts(files) } } },
});

export const python: Ecosystem = {
  ...named('python python3 python2 py pypy pypy3', {
    files: startup,
    runs: 'script',
    resolves: ['{}/__main__.py'],
    options: { module: ['-m'], code: ['-c'], value: ['-W', '-X', '--check-hash-based-pycs'] },
  }),
  ...named('pytest py.test', { files: pytest, options: loads }),
  unittest: { options: { value: ['-p', '-s', '-t', '-k'] } },
  ...named('doctest venv virtualenv build compileall py_compile json.tool ensurepip', {}),
  timeit: { reports: /^/ },
  ...named('cProfile profile pdb trace runpy', {
    runs: 'script',
    options: { module: ['-m'], value: ['-o', '-s'] },
  }),
  ...named('nose2 nosetests', { files: ['unittest.cfg', 'nose2.cfg', '.noserc', ...project] }),
  tox: {
    files: ['tox.ini', 'tox.toml', ...pytest],
    options: { file: ['-c', '--conf'], value: ['-e'] },
    subcommands: { exec: { files: ['tox.ini', 'tox.toml', ...project], runs: 'command', options: { value: ['-e'] } } },
  },
  nox: { files: ['noxfile.py', ...pytest], options: { file: ['-f', '--noxfile'], value: ['-s', '-e'] } },
  coverage: {
    files: coverage,
    subcommands: {
      run: {
        files: [...coverage, ...pytest],
        runs: 'script',
        options: { module: ['-m'], file: ['--rcfile'], value: ['--source', '--omit', '--include'] },
      },
    },
  },
  uv: manager([...uv, ...pytest]),
  uvx: starts([...uv, ...pytest]),
  pipx: { subcommands: { run: starts([]) } },
  poetry: manager(['poetry.toml', 'poetry.lock', ...pytest]),
  pdm: manager(['pdm.toml', 'pdm.lock', '.pdm-python', ...pytest]),
  rye: manager(['requirements*.lock', ...pytest]),
  pipenv: manager(['Pipfile', 'Pipfile.lock', ...pytest]),
  hatch: {
    files: ['hatch.toml', ...pytest],
    subcommands: {
      run: { files: ['hatch.toml', ...pytest], mayStart: true },
      test: { files: ['hatch.toml', ...pytest] },
    },
  },
  pixi: {
    files: ['pixi.toml', 'pixi.lock', ...project],
    subcommands: {
      run: {
        files: ['pixi.toml', 'pixi.lock', ...project],
        mayStart: true,
        options: { value: ['-e', '--environment'] },
      },
    },
  },
  ...named('pip pip3', { files: ['requirements*.txt', 'constraints*.txt', ...project] }),
  invoke: { files: ['tasks.py', 'invoke.yaml'] },
  ...named('mypy dmypy', { files: ['mypy.ini', '.mypy.ini', ...project], options: { file: ['--config-file'] } }),
  ...named('pyright basedpyright', { files: ['pyrightconfig.json', ...project] }),
  ruff: { files: ['ruff.toml', '.ruff.toml', ...project] },
  ...named('flake8 pylint black isort bandit', {
    files: ['.flake8', '.pylintrc', 'pylintrc', 'tox.ini', ...project],
    options: { file: ['--rcfile', '--config'] },
  }),
  behave: { files: ['behave.ini', '.behaverc', 'environment.py', ...project] },
  robot: { files: ['robot.toml', ...project], options: { file: ['-A', '--argumentfile', '-V', '--variablefile'] } },
  'pre-commit': { files: ['.pre-commit-config.yaml'] },
};
