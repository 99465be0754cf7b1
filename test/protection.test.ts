import { runRequestSchema } from '@coppice/contracts';
import { describe, expect, test } from 'vitest';
import { specify } from '../apps/orchestrator/src/specification.ts';
import { StepBudget } from '../libs/service/src/index.ts';
import { ProtectPatterns } from '../apps/worktree-service/src/import/protect-patterns.ts';
import { protectedAmong } from '../apps/worktree-service/src/import/protected-paths.ts';

/**
 * Tests which changed paths are protected. The orchestrator derives patterns from a verify command, and
 * worktree-service applies them to the paths.
 */

const protectedOf = (verify: string, rest: object = {}): string[] =>
  specify(
    runRequestSchema.parse({
      requestId: 'q',
      repository: '/r',
      baseBranch: 'main',
      tasks: [
        {
          name: 'a',
          description: 'd',
          prompt: 'p',
          model: 'm/x',
          agent: { kind: 'prompt', file: 'A.md' },
          verify,
          ...rest,
        },
      ],
    }),
  )[0]?.protect ?? [];

const among = (changed: string, protect: string[]): Promise<string[]> => {
  const budget = new StepBudget();
  return protectedAmong([changed], new ProtectPatterns(protect, budget), budget);
};

/** Verify commands, each with a file whose change could make the command pass. */
const attacks: [command: string, changed: string][] = [
  // Nested shells, wrappers, and all syntax that can contain a command
  [`sh -c 'node test.js'`, 'test.js'],
  [`bash -euo pipefail -c "node test.js"`, 'test.js'],
  [`sh -c "sh -c 'node test.js'"`, 'test.js'],
  ['timeout 60 npm test', 'package.json'],
  ['timeout -k 5 --signal KILL 60 npm test', 'package.json'],
  ['env -u X CI=1 nice -n 5 npm test', 'package.json'],
  ['nohup setsid stdbuf -oL sudo -u nobody ./check', 'check'],
  ['if node test.js; then echo ok; fi', 'test.js'],
  ['while ! node test.js; do sleep 1; done', 'test.js'],
  ['for i in 1 2; do sh check.sh $i; done', 'check.sh'],
  ['case x in *) node test.js;; esac', 'test.js'],
  ['check() { node test.js; }; check', 'test.js'],
  ['[ "$(node test.js)" = ok ]', 'test.js'],
  ['test "`node test.js`" = ok', 'test.js'],
  ['cat out.txt | node test.js', 'test.js'],
  ['diff expected.txt <(node test.js)', 'test.js'],
  ['(cd app && node ../tools/test.js)', 'tools/test.js'],
  ['{ node test.js; } > out.txt 2>&1', 'test.js'],
  ['sh < check.sh', 'check.sh'],
  ['cat check.sh | sh', 'check.sh'],
  ["sh <<'END'\nnode test.js\nEND\n", 'test.js'],
  [`bash <<< 'node test.js'`, 'test.js'],
  [`eval 'node test.js'`, 'test.js'],
  [`trap 'node test.js' EXIT`, 'test.js'],
  [`env -S 'node test.js'`, 'test.js'],
  ['find . -name x -exec node test.js {} +', 'test.js'],
  ['echo a | xargs -n 1 node test.js', 'test.js'],
  [`node "$PWD/test.js"`, 'test.js'],
  ['node /workspace/test.js', 'test.js'],
  [`node 'te'"st.js"`, 'test.js'],
  [`sh 'my check.sh'`, 'my check.sh'],
  ['sh check[1].sh', 'check1.sh'],
  [`sh 'check[1].sh'`, 'check[1].sh'],
  [`node "$ROOT/tools/test.js"`, 'tools/test.js'],
  ['. ./env.sh && npm test', 'env.sh'],
  ['source scripts/env', 'scripts/env'],
  ['PATH=./bin:$PATH check', 'bin/check'],
  ['export PATH="$PWD/tools:$PATH"; check', 'tools/check'],
  ['NODE_OPTIONS="--require ./test/hook.js" npm test', 'test/hook.js'],
  ['LD_PRELOAD=./test/fake.so pytest', 'test/fake.so'],
  ['command ./test.sh', 'test.sh'],
  ['if true; then (if node test.js', 'test.js'],
  // Committed dependencies
  ['npm test', 'node_modules/.bin/node'],
  ['npm test', 'packages/a/node_modules/jest/index.js'],
  ['yarn test', '.yarn/releases/yarn.cjs'],
  ['go test ./...', 'vendor/example.com/assert/assert.go'],
  ['pytest', '.venv/bin/pytest'],
  ['vendor/bin/phpunit', 'vendor/phpunit/phpunit/phpunit'],
  // Node
  ['npm run check', '.npmrc'],
  ['npm test', 'jest.config.cjs'],
  ['npx jest', 'jest.config.ts'],
  ['npx vitest run', 'vitest.config.mts'],
  ['npx -y mocha', '.mocharc.yml'],
  ['pnpm test', '.pnpmfile.cjs'],
  ['pnpm exec vitest', 'vite.config.ts'],
  ['yarn test', '.pnp.cjs'],
  ['bun test', 'bunfig.toml'],
  ['bun run ./check', 'package.json'],
  ['deno task test', 'deno.jsonc'],
  ['deno run -A tools/test.ts', 'tools/test.ts'],
  ['node --import ./test/setup.mjs --test', 'test/setup.mjs'],
  ['node --require=./test/setup.js test.js', 'test/setup.js'],
  ['node run/check', 'run/check.js'],
  ['node test', 'test/index.js'],
  ['node_modules/.bin/jest --config=test/jest.json', 'node_modules/.bin/jest'],
  ['npx jest --config test/jest.json', 'test/jest.json'],
  ['npx tsc --noEmit', 'tsconfig.json'],
  ['npx eslint .', 'eslint.config.mjs'],
  // Python
  ['pytest', 'pyproject.toml'],
  ['pytest', 'tests/conftest.py'],
  ['python -m pytest -q', 'setup.cfg'],
  ['python3.12 -m pytest', 'pytest.ini'],
  ['python -m pytest', 'pytest.py'],
  ['python -m pytest', 'pytest/__main__.py'],
  ['python -Im checks.all', 'checks/all.py'],
  ['python run_tests.py', 'run_tests.py'],
  ['python tests', 'tests/__main__.py'],
  ['uv run pytest', 'uv.lock'],
  ['uv run --with x pytest', 'conftest.py'],
  ['uv run -m pytest', 'tox.ini'],
  ['poetry run pytest', 'poetry.lock'],
  ['poetry run python tools/test.py', 'tools/test.py'],
  ['tox -e py', 'tox.ini'],
  ['nox', 'noxfile.py'],
  ['coverage run -m pytest', 'conftest.py'],
  ['coverage run tools/test.py', 'tools/test.py'],
  // Compiled languages
  ['cargo test', '.cargo/config.toml'],
  ['cargo test', 'crates/a/build.rs'],
  ['cargo nextest run', '.config/nextest.toml'],
  ['go test ./...', 'go.mod'],
  ['go vet ./... && go test -exec ./test/run.sh ./...', 'test/run.sh'],
  ['go run ./tools/check', 'tools/check/main.go'],
  ['dotnet test', 'src/App/App.csproj'],
  ['dotnet test', 'Directory.Build.props'],
  ['dotnet test', 'NuGet.config'],
  ['bazel test //...', '.bazelrc'],
  ['bazelisk test //...', 'tools/bazel'],
  ['bazel test //...', 'src/BUILD.bazel'],
  ['swift test', 'Package.swift'],
  ['mix test', 'mix.exs'],
  ['mix test', 'test/test_helper.exs'],
  ['zig build test', 'build.zig'],
  ['cmake --build build && ctest --test-dir build', 'tests/CMakeLists.txt'],
  ['meson test', 'meson.build'],
  // JVM
  ['mvn -q verify', '.mvn/extensions.xml'],
  ['./mvnw test', '.mvn/wrapper/maven-wrapper.properties'],
  ['./mvnw test', 'mvnw'],
  ['./gradlew check', 'gradle/wrapper/gradle-wrapper.properties'],
  ['./gradlew check', 'buildSrc/src/main/java/Check.java'],
  ['gradle test', 'app/build.gradle.kts'],
  ['sbt test', 'project/plugins.sbt'],
  ['sbt test', 'build.sbt'],
  // Ruby, PHP, Perl
  ['rspec', '.rspec'],
  ['bundle exec rspec', 'spec/spec_helper.rb'],
  ['bundle exec rake test', 'lib/tasks/test.rake'],
  ['bundle exec ruby tools/test.rb', 'tools/test.rb'],
  ['rake', 'Gemfile.lock'],
  ['phpunit', 'phpunit.xml.dist'],
  ['php vendor/bin/phpunit -c test/phpunit.xml', 'test/phpunit.xml'],
  ['composer test', 'composer.json'],
  ['prove -r t', '.proverc'],
  // Build tools
  ['make -C app test', 'app/Makefile'],
  ['make test', 'build/rules.mk'],
  ['make -ftest/other.txt', 'test/other.txt'],
  ['just test', 'justfile'],
  ['task test', 'Taskfile.yml'],
  ['awk -f check.awk out.txt', 'check.awk'],
];

/** Verify commands, each with a file that tasks may change without approval. */
const wanted: [command: string, changed: string][] = [
  ['npm test', 'test/a.test.js'],
  ['npm test', 'src/app.js'],
  ['node --test', 'test/a.test.js'],
  ['node --test test/a.test.js', 'test/a.test.js'],
  ['node test.js', 'app.js'],
  ['node test', 'test/fixtures/a.txt'],
  ['test -f one.txt && ! grep -q bad two.txt', 'one.txt'],
  ['test -f one.txt && ! grep -q bad two.txt', 'two.txt'],
  [`[ "$(cat VERSION.txt)" = 2 ]`, 'VERSION.txt'],
  ['pytest tests/test_a.py', 'tests/test_a.py'],
  ['python -m pytest', 'src/app.py'],
  ['cargo test', 'src/lib.rs'],
  ['go test ./...', 'pkg/a_test.go'],
  ['mvn verify', 'src/test/java/ATest.java'],
  ['bundle exec rspec', 'spec/models/user_spec.rb'],
  ['vendor/bin/phpunit tests', 'tests/UserTest.php'],
  ['make test', 'src/main.c'],
  ['cat ../secret.txt', 'secret.txt'],
  ['true', 'node.js'],
];

describe('files that define the verification', () => {
  test.each(attacks)('%s: a change of %s needs approval', async (verify, changed) => {
    expect(await among(changed, protectedOf(verify))).toEqual([changed]);
  });

  test.each(wanted)('%s: a change of %s needs no approval', async (verify, changed) => {
    expect(await among(changed, protectedOf(verify))).toEqual([]);
  });
});
