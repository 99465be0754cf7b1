import { describe, expect, test } from 'vitest';
import { definitionOf } from './definition.ts';

/** Verify commands of many ecosystems, and what is said of each. */

describe('a program that starts another is followed to it', () => {
  test.each([
    ['git bisect run ./check', '**/check'],
    [`git submodule foreach 'node check.js'`, 'check.js'],
    [`git rebase -x 'node check.js' main`, 'check.js'],
    ['find tests -execdir scripts/check {} +', '**/scripts/check'],
    [`find tests -exec sh -c 'grep -q "{}" list && node check.js' ';'`, 'check.js'],
    ['parallel node ::: a.js b.js', 'b.js'],
    [`parallel 'node {} --all' ::: a.js`, 'a.js'],
    ['parallel ::: ./a "node b.js"', 'b.js'],
    ['parallel < list.txt', 'list.txt'],
    [`concurrently "node check.js" "npm:lint"`, 'check.js'],
    ['cross-env-shell "node check.js"', 'check.js'],
    [`yarn exec 'node check.js'`, 'check.js'],
    ['yarn node check', '**/check'],
    ['yarn workspace app tsx check', '**/check'],
    ['pnpm -r tsx check', '**/check'],
    ['nx exec -- node check', '**/check'],
    ['tox exec -e py -- python check', '**/check'],
    ['hatch run test:python check', '**/check'],
    ['pixi run python check', '**/check'],
    ['python -m cProfile -o out check', '**/check'],
    ['cmake -E chdir build node check', '**/check'],
    ['meson devenv -C build node check', '**/check'],
    ['bazel test --run_under="node check.js" //...', 'check.js'],
    [`prove -e 'node check.js' t`, 'check.js'],
    [`split --filter='node check.js' list`, 'check.js'],
    ['tar -I ./unpack -xf a.tar', '**/unpack'],
    ['docker compose run --rm -e CI=1 app node check', '**/check'],
    ['docker run --rm -v .:/w -w /w node:22 sh check', '**/check'],
  ])('%s names %s', (command, file) => {
    expect(definitionOf(command).files).toContain(file);
  });
});

describe('files by which a program knows what to do', () => {
  test.each([
    ['node --run check', 'package.json'],
    ['cargo make test', 'Makefile.toml'],
    ['cargo deny check', 'deny.toml'],
    ['ruby -r./check/hook run.rb', 'check/hook.rb'],
    ['php -d auto_prepend_file=prepend.php run.php', 'prepend.php'],
    ['bun test --preload ./tests/setup.ts', 'tests/setup.ts'],
    ['jq -f check.jq data', 'check.jq'],
    ['mix run check', '**/check'],
    ['mix check', '**/lib/mix/tasks/**'],
    ['runghc check', '**/check'],
    ['rake spec', 'spec_helper.rb'],
    ['pytest @check.args', 'check.args'],
    ['bats tests', 'setup_suite.bash'],
    ['mise run test', 'mise-tasks'],
  ])('of %s include %s', (command, file) => {
    expect(definitionOf(command).files).toContain(file);
  });
});

describe('what a program runs is reported where no file in the command defines it', () => {
  test.each([
    'cargo run --bin check',
    'cargo +nightly run -p check -- --all',
    'dotnet run --project tools/Check',
    'dotnet bin/Debug/net9.0/check.dll',
    'swift run check',
    'zig build run',
    'stack exec check',
    'cabal run check',
    'dune exec ./check.exe',
    'gleam run -m check',
    'bazel run //tools:check',
    'buck2 run //tools:check',
    'pants run tools:check',
    './gradlew :app:run',
    'mvn -q compile exec:java',
    'sbt "core/runMain Check"',
    'lein run -m check.core',
    'mill tools.run',
    'clojure -M -m check.core',
    'java -cp out Check',
    'java -jar target/check.jar',
    './build/check',
    'go build -o bin/check . && bin/check',
    'gcc -o check check.c; ./check',
    'node dist/check.js',
    'go generate ./...',
    'nim c -r tools/check',
    'crystal eval "require \\"./a\\""',
    'dart run tools',
    'nix run .#check',
    'dagger call test',
    'deno eval \'import "./a.ts"\'',
    'deno run npm:vitest',
    'mix run -e "Check.run()"',
    'rails runner Check.run',
    `make --eval='all: ; node a.js' all`,
    'python -m unknown_program',
    `python -m timeit 'import app'`,
    'ruby -Ilib run.rb',
    'perl -Ilib run.pl',
    'prove -lr t',
    'docker run --rm -v .:/w image',
    'docker exec box node /w/check.js',
    'find tests -type f -exec {} ;',
    'find tests -type f -exec timeout 5 {} +',
    'ls check | xargs timeout 5',
    `ls check | xargs -I{} sh -c 'node {}'`,
    'ls check | xargs -I % node check/%',
    `ls check | parallel 'node {}'`,
    `git -c alias.t='!node a.js' t`,
    `awk 'BEGIN { system("node a.js") }'`,
    `awk '{ print | "sh" }' list`,
    `sed '1e node a.js' list`,
    `sed 's/x/node a.js/e' list`,
  ])('%s', (command) => {
    expect(definitionOf(command).unprotected).not.toEqual([]);
  });

  test.each([
    'cargo nextest run',
    'dotnet test',
    'swift test',
    'zig build test',
    'sbt test',
    './gradlew check',
    'bazel test //...',
    'mix test',
    'deno task check',
    'yarn workspaces foreach -A run test',
    'pnpm -r test',
    'hatch run cov',
    'pixi run test',
    'pre-commit run --all-files',
    'python -m unittest discover -s tests',
    'git diff --exit-code && git -c user.name=a commit -m run',
    'concurrently npm:lint npm:test',
    'find tests -name "*.js" -exec grep -q assert {} +',
    `awk '{ sum += $1 } END { print sum }' list`,
    `sed -n 's/some/else/p' list`,
    'ls | xargs',
    'tsc -p . && set -o pipefail',
  ])('%s is not', (command) => {
    expect(definitionOf(command).unprotected).toEqual([]);
  });
});
