import { describe, expect, test } from 'vitest';
import { definitionOf } from './definition.ts';
import { Definitions } from './definitions.ts';
import { ecosystems } from './programs.ts';
import { protectionOf } from './protection.ts';

const notProtected = (command: string) => definitionOf(command).unprotected.map(({ part }) => part);
const whyNot = (command: string) => definitionOf(command).unprotected.map(({ why }) => why);

describe('files', () => {
  test.each([
    ['./scripts/check.sh --all', ['scripts/check.sh']],
    ['sh test.sh', ['test.sh']],
    ['./test.sh || true', ['test.sh']],
    ['CI=1 bash -eu spec/run', ['spec/run']],
    ['sh ./check', ['**/check']],
    ['cd app && node tools/test.js', ['**/tools/test.js']],
    ['node --test test/a.test.js', []],
    ['node test.js', ['test.js']],
    [`node 'a{b}.js'`, [String.raw`a\{b\}.js`]],
    ['node run/{a,b}.js', ['run/{a,b}.js']],
    ['cat ../secret.txt', []],
    ['node ../outside.js', []],
    ['node /usr/lib/outside.js', []],
    ['node ~/outside.js', []],
    ['true', []],
    ['', []],
    ['test -f one.txt && ! grep -q bad two.txt', []],
    ['cp ci/check.sh /tmp/check && sh /tmp/check', ['ci/check.sh']],
    ['cp -r ./src README.md /tmp', []],
  ])('%s names %j', (command, files) => {
    expect(definitionOf(command)).toMatchObject({ files, unprotected: [] });
  });

  test('no glob of a program matches a whole source folder, and each program belongs to one ecosystem', () => {
    for (const programs of Object.values(ecosystems))
      for (const { files = [] } of Object.values(programs))
        expect(files.filter((file) => /^(\*+|\*\*\/\*+|src|lib|test|tests|spec)(\/\*+)?$/.test(file))).toEqual([]);
    const names = Object.values(ecosystems).flatMap((programs) => Object.keys(programs));
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });
});

describe('files that a program loads in addition', () => {
  test.each([
    ['pytest', 'sitecustomize.py'],
    ['pytest -p tools.ci_plugin', '**/tools/ci_plugin.py'],
    ['bun run test.ts', 'test.ts'],
    ['npm exec -w packages/app -- node scripts/check.mjs', '**/scripts/check.mjs'],
    ['pnpm -r exec node scripts/check.mjs', '**/scripts/check.mjs'],
    ['npm --workspace=app exec -- node scripts/check.mjs', '**/scripts/check.mjs'],
  ])('of %s include %s', (command, file) => {
    expect(definitionOf(command).files).toContain(file);
  });

  test("an absolute module folder isn't part of the work tree", () => {
    expect(definitionOf('PYTHONPATH=/usr/lib/extra node a.js').unprotected).toEqual([]);
  });
});

describe('scripts whose loaded files are not followed are reported', () => {
  test.each([
    ['npm test', 'the script in package.json'],
    ['timeout 60 npm --prefix app run check', 'the script in package.json'],
    ['yarn lint', 'the script in package.json'],
    ['node --run check', 'the script in package.json'],
    ['make -C app test', 'the Makefile'],
    ['just test', 'the justfile'],
    ['sh test.sh', 'test.sh'],
    ['./check && true', './check'],
    ['. ./lib.sh', './lib.sh'],
    ['node scripts/check.js', 'scripts/check.js'],
  ])('%s', (command, script) => {
    const [unfollowed] = definitionOf(command).unfollowed;
    expect(unfollowed?.why).toContain(`files that ${script} starts or loads`);
  });

  test.each(['npm ci', 'yarn install', 'yarn', 'npx vitest run', 'yarn vitest', 'node --test', 'pytest', 'cargo test'])(
    '%s is not',
    (command) => {
      expect(definitionOf(command).unfollowed).toEqual([]);
    },
  );

  test('but not if the run file protects files of its own', () => {
    expect(protectionOf(['npm test'], []).unprotected).toHaveLength(1);
    expect(protectionOf(['npm test'], ['scripts/**']).unprotected).toEqual([]);
  });
});

describe('parts that no protected file defines', () => {
  test.each([
    ['unknown-program --all', 'unknown-program --all'],
    ['npm test && unknown-program', 'unknown-program'],
    ['timeout 60 unknown-program', 'timeout 60 unknown-program'],
    ['/usr/bin/unknown-program', '/usr/bin/unknown-program'],
    ['npx unknown-program', 'npx unknown-program'],
    ['node .', 'node .'],
    ['go run .', 'go run .'],
    ['PYTHONPATH=. pytest', 'PYTHONPATH=. pytest'],
    ['env NODE_PATH=lib node a.js', 'env NODE_PATH=lib node a.js'],
    ['$RUNNER test.js', '$RUNNER test.js'],
    ['"$(which node)" test.js', '"$(which node)" test.js'],
    ['node "$SCRIPT"', 'node "$SCRIPT"'],
    ['for f in check/*.js; do node $f; done', 'node $f'],
    ['sh -c "$COMMAND"', 'sh -c "$COMMAND"'],
    ['eval "$COMMAND"', 'eval "$COMMAND"'],
    [`node -e 'require("./app.js")'`, `node -e 'require("./app.js")'`],
    ['python -c "import app"', 'python -c "import app"'],
    ['python -m "$MODULE"', 'python -m "$MODULE"'],
    ['cat check.sh | sh', 'sh'],
    ['ls check | xargs node', 'xargs node'],
    [`find check -name '*.js' -exec node {} +`, `find check -name '*.js' -exec node {} +`],
    ['{ sh; } < check.sh', 'sh'],
    ["node <<'END'\nrequire('./app.js')\nEND", "node <<'END'"],
    ['if node test.js', 'if node test.js'],
    [`sh -c 'echo "'`, `echo "`],
  ])('%s: %s is reported', (command, part) => {
    expect(notProtected(command)).toEqual([part]);
    expect(whyNot(command)[0]).toMatch(/ under protect$/);
  });

  test.each([
    'npm test',
    'cd sub && npm test',
    'make -j 4 test',
    'python -m pytest -q tests',
    'uv run pytest',
    'cargo test --workspace',
    'go build ./... && go test -race ./...',
    './gradlew check',
    'dotnet test --no-build',
    'bundle exec rspec',
    'set -eu; test -s a.txt; [ "$(node test.js)" = ok ] && exit 0; exit 1',
    'check() { sh check.sh; }; check',
    'export CI=true; pnpm --filter app test',
    'if [ -e built ]; then exit 0; fi; touch built; sleep 3; exit 1',
    'command -v node >/dev/null && node --version && node --test',
    `sed -n '1p' a.txt | grep -q "$EXPECTED"`,
  ])('%s: nothing is reported', (command) => {
    expect(notProtected(command)).toEqual([]);
  });

  test('a part is shortened to one line, and only the first of many parts are reported', () => {
    const [part = ''] = notProtected(`unknown-program \\\n  ${'a '.repeat(200)}`);
    expect(part).toMatch(/^unknown-program \\ a a .*…$/);
    expect(part).toHaveLength(120);
    expect(notProtected(Array.from({ length: 30 }, (_, index) => `unknown-${index}`).join('; '))).toHaveLength(10);
  });

  test.each(['$(', '(', '{ ', 'if ', '"$(', '${a:-', '`', '$((', '<<a ', "sh -c '", 'a|', '<(', 'eval a;'])(
    '8 KiB of %s cause neither a stack overflow nor a long report',
    (piece) => {
      const { files, unprotected } = definitionOf(piece.repeat(8_192 / piece.length));
      expect(JSON.stringify([files, unprotected]).length).toBeLessThan(4_000);
    },
  );

  test.each([
    ['parallel', `parallel '${'a;'.repeat(490)}' ::: ${'1 2 3 4 5 6 7 8 9 '.repeat(11)}`],
    ['a chain of wrappers', 'nice '.repeat(1_600)],
    ['a chain of options that may have values', 'nyc --unknown '.repeat(500)],
    ['a chain of find', `find ${'-exec find '.repeat(700)}`],
    ['text of more than 32 KiB', `true ${'a'.repeat(32_768)}`],
  ])('the analysis of a command that takes too long ends, and the command is reported: %s', (_name, command) => {
    expect(whyNot(command)).toContain('it is too large to analyze: name the files that it runs under protect');
  });

  test('all commands of a request share one budget, and the same command is analyzed once', () => {
    const definitions = new Definitions();
    const command = (index: number) => `node ${index}.js; ${'true; '.repeat(400)}`;
    expect(definitions.of(command(0))).toMatchObject({ files: ['0.js'], unprotected: [] });
    for (let times = 0; times < 1_000; times++) definitions.of(command(0));
    expect(definitions.of(command(1))).toMatchObject({ files: ['1.js'], unprotected: [] });
    for (let index = 2; index < 30; index++) definitions.of(command(index));
    expect(definitions.of(command(30))).toMatchObject({
      files: [],
      unprotected: [expect.objectContaining({ why: expect.stringContaining('too large') })],
    });
    expect(definitions.of(command(0)).unprotected).toEqual([]);
  });

  test('nested shells are analyzed up to a limit, which is reported', () => {
    let nested = 'node test.js';
    for (let depth = 0; depth < 5; depth++) nested = `sh -c ${JSON.stringify(nested)}`;
    expect(definitionOf(nested)).toMatchObject({ files: ['test.js'], unprotected: [] });
    for (let depth = 0; depth < 5; depth++) nested = `sh -c ${JSON.stringify(nested)}`;
    expect(whyNot(nested)).toEqual([expect.stringContaining('nested too deeply')]);
  });
});
