/** Tests the commands for agents with tools on the whole stack. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { runIdOf } from '@coppice/contracts';
import { temporaryFolder, temporaryRepository } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CommandLine } from '../support/command-line.ts';
import { startModelServer } from '../support/model-server.ts';
import { sandboxes } from '../support/sandboxes.ts';

const script = `
rules:
  - when: { contains: Fix sum }
    turns:
      - text: "I look \\e[31mfirst\\e[0m."
        toolCalls:
          - { name: read, arguments: { path: sum.txt } }
          - { name: run, arguments: { command: "printf 'one\\\\033[2Jtwo\\\\n'; sleep 1; echo three" } }
      - toolCalls: [{ name: edit, arguments: { path: sum.txt, oldText: wrong, newText: right } }]
      - latencyMs: 1500
        toolCalls: [{ name: finish, arguments: { summary: It is right now. } }]
  - when: { contains: Spoil it }
    turns:
      - toolCalls: [{ name: write, arguments: { path: spoilt.txt, content: "wrong" } }]
      - toolCalls: [{ name: finish, arguments: { summary: Spoilt. } }]
default: { turns: [{ text: "nothing to say" }] }
`;
const check = 'if grep -h wrong *.txt; then exit 3; fi\n';
const key = `sk-${'secret7'.repeat(6)}`;

let cli: CommandLine;
const engine = sandboxes();
const idOf = (requestId: string) => runIdOf('default', requestId);
const inRepository = (commandArguments: string[], environment: NodeJS.ProcessEnv = {}) =>
  cli.run(commandArguments, environment, cli.repository.path);

function prompt(text: string, requestId: string, options: string[] = []): string[] {
  const model = `scripted/${path.relative(cli.repository.path, path.join(cli.folder, 'script.yaml'))}`;
  const fixed = ['--engine', engine, '--model', model, '--request-id', requestId];
  return ['run', '--prompt', text, ...fixed, ...options];
}

beforeAll(async () => {
  cli = await CommandLine.create({ 'check.sh': check, 'sum.txt': 'wrong\n' });
  await cli.write('script.yaml', script);
}, 60_000);

afterAll(async () => {
  await cli[Symbol.asyncDispose]();
}, 60_000);

test.each([
  [[], "missing required argument 'file', or --prompt TEXT"],
  [['--prompt', 'x'], '--model: say which'],
  [['--prompt', 'x', '--model', 'scripted/a'], '--verify: name the command that verifies the task, or use --no-verify'],
  [['--prompt', 'x', '--model', 'Foo', '--no-verify'], '--model: expected provider/model, or an alias, received "Foo"'],
  [['--prompt', 'x', '--model', 'a/b', '--no-verify', '--name', 'A B'], '--name: expected lower-case letters'],
  [['--prompt', '', '--model', 'a/b', '--no-verify'], '--prompt: expected'],
  [['plan.yaml', '--prompt', 'x'], 'either a run file or --prompt, not both'],
  [['plan.yaml', '--no-verify'], '--no-verify is only valid with --prompt'],
])('run %j is wrong usage: the error names the option, and nothing is started', async (options, expected) => {
  const outcome = await inRepository(['run', ...options]);
  expect(outcome).toMatchObject({ exitCode: 2, out: '' });
  expect(outcome.err).toContain(expected);
});

test('outside of a repository --prompt fails with that reason', async () => {
  const outcome = await cli.run(prompt('x', 'outside', ['--no-verify']), {}, cli.folder);
  expect(outcome.exitCode).toBe(2);
  expect(outcome.err).toContain('is not in a git repository');
});

test(
  '--prompt runs an agent in the current repository and branch, and lands what is verified',
  { timeout: 120_000 },
  async () => {
    await cli.repository.git('checkout', '--quiet', '-b', 'side');
    const options = ['--verify', 'sh check.sh', '--type', 'fix'];
    const outcome = await inRepository(prompt('# Fix sum: it is wrong.\n\nPlease.', 'fix', options));
    expect([outcome.exitCode, outcome.err.match(/^coppice: .*$/m)]).toEqual([0, null]);
    expect(outcome.out).toMatch(/^\d\d:\d\d:\d\d fix-sum-it-is-wrong: turn 1: read sum\.txt; run printf/m);
    expect(outcome.out).toMatch(/^✔ fix-sum-it-is-wrong +merged +\w{10} +Fix sum: it is wrong$/m);
    expect(await cli.repository.show('sum.txt', 'side')).toBe('right\n');
    expect(await cli.repository.show('sum.txt', 'main')).toBe('wrong\n');
    expect(await cli.repository.git('log', '-1', '--format=%s%n%n%b', 'side^2')).toMatch(
      /^fix: Fix sum: it is wrong\n\nIt is right now\./,
    );
  },
);

test(
  'logs shows texts and calls of the agent in order, without terminal control characters',
  { timeout: 60_000 },
  async () => {
    const { exitCode, out } = await cli.run(['logs', idOf('fix')]);
    expect(exitCode).toBe(0);
    const steps = [
      'working',
      'turn 1 I look first.',
      '→ read sum.txt',
      '→ run printf',
      '| onetwo',
      '| three',
      '← read ok',
      '← run ok: exit code 0',
      'turn 2',
      '→ edit sum.txt',
      '← edit ok',
      'turn 3',
      '→ finish It is right now.',
      'verifying',
      'merged',
    ];
    expect(steps.map((step) => out.indexOf(step))).toEqual(
      steps.map((step) => out.indexOf(step)).toSorted((a, b) => a - b),
    );
    expect(steps.filter((step) => !out.includes(step))).toEqual([]);
    expect(out).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F]/);
    const json = await cli.run(['logs', idOf('fix'), '--json']);
    const items = json.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string; time: string });
    expect(new Set(items.map(({ kind }) => kind))).toEqual(new Set(['state', 'message', 'turn', 'result', 'output']));
    expect(items.map(({ time }) => time)).toEqual(items.map(({ time }) => time).toSorted());
  },
);

test('replay makes the same decisions again, and fails for other kinds of agents', { timeout: 60_000 }, async () => {
  const same = await cli.run(['replay', idOf('fix')]);
  expect(same).toMatchObject({ exitCode: 0, err: '' });
  expect(same.out).toBe('same: 3 turns replayed, each alike; then the agent finishes: It is right now.\n');
  await inRepository(prompt('Say it.', 'said', ['--no-verify', '--write', 'said.txt', '--name', 'said']));
  const none = await cli.run(['replay', `${idOf('said')}/said`]);
  expect(none.exitCode).toBe(2);
  expect(none.err).toContain('said has no loop agent');
});

test('pull creates a branch for landed or kept work, and changes nothing else', { timeout: 90_000 }, async () => {
  const before = await cli.repository.git('status', '--porcelain', '--branch');
  const landed = await inRepository(['pull', idOf('fix')]);
  expect(landed.exitCode).toBe(0);
  const ref = /^refs\/heads\/(\S+) is \w{10}: .*has landed$/m.exec(landed.out)?.[1] ?? '';
  expect(await cli.repository.show('sum.txt', ref)).toBe('right\n');
  expect((await inRepository(['pull', idOf('fix')])).out).toContain('is already');

  expect((await inRepository(prompt('Spoil it', 'spoil', ['--verify', 'sh check.sh']))).exitCode).toBe(1);
  const kept = await inRepository(['pull', idOf('spoil'), '--branch', 'spoilt']);
  expect(kept.out).toMatch(/^refs\/heads\/spoilt is .*which has not landed$/m);
  expect(await cli.repository.show('spoilt.txt', 'spoilt')).toBe('wrong');
  for (const [branch, why] of [
    ['side', 'is checked out'],
    ['spoilt', 'is there with other commits'],
    ['a b', 'expected a branch name'],
  ] as const) {
    const refused = await inRepository(['pull', idOf('fix'), '--branch', branch]);
    expect([refused.exitCode, refused.err]).toEqual([2, expect.stringContaining(why)]);
  }
  expect(await cli.repository.git('status', '--porcelain', '--branch')).toBe(before);

  await using other = await temporaryRepository();
  const strange = await cli.run(['pull', idOf('fix')], {}, other.path);
  expect(strange.exitCode).toBe(2);
  expect(strange.err).toContain("is not the run's repository");
  const wanted = await cli.run(['pull', idOf('fix'), '--into', other.path, '--branch', 'theirs']);
  expect(wanted.exitCode).toBe(0);
  expect(await other.show('sum.txt', 'theirs')).toBe('right\n');
  // Outside of any repository, `pull` creates the branch in the run's own repository.
  await using outside = await temporaryFolder('outside');
  expect((await cli.run(['pull', idOf('fix'), '--branch', 'outside'], {}, outside.path)).exitCode).toBe(0);
  expect(await cli.repository.show('sum.txt', 'outside')).toBe('right\n');
  await using clone = await temporaryRepository();
  await clone.git('remote', 'add', 'origin', cli.repository.path);
  expect((await cli.run(['pull', idOf('fix'), '--branch', 'mine'], {}, clone.path)).exitCode).toBe(0);
});

test('logs --tail shows only the last lines, and the number of lines before', { timeout: 60_000 }, async () => {
  const all = await cli.run(['logs', idOf('fix')]);
  const lines = all.out.trimEnd().split('\n');
  const tail = await cli.run(['logs', idOf('fix'), '--tail', '2']);
  expect(tail.out.trimEnd().split('\n')).toEqual(lines.slice(-2));
  expect(tail.err).toBe(`… ${lines.length - 2} earlier lines; without --tail all are shown\n`);
  const entries = await cli.run(['logs', idOf('fix'), '--tail', '1', '--json']);
  expect(JSON.parse(entries.out)).toMatchObject({ kind: 'state', state: 'merged' });
});

test('logs -f shows new lines until the task has ended; watch shows all runs', { timeout: 90_000 }, async () => {
  await cli.repository.commit('chore: wrong again', { 'sum.txt': 'wrong\n' });
  await using watching = cli.start(['watch', '--json']);
  await using watchingLines = cli.start(['watch']);
  const detached = await inRepository(prompt('Fix sum again', 'again', ['--verify', 'sh check.sh', '--detach']));
  expect(detached.exitCode).toBe(0);
  await using following = cli.start(['logs', idOf('again'), '-f']);
  await following.waitForLine('| three');
  expect(following.lines.some(({ text }) => text.includes('merged'))).toBe(false);
  expect(await following.exited).toEqual({ code: 0, signal: null });
  const lines = following.lines.map(({ text }) => text);
  expect(lines.filter((line) => / turn 1 /.test(line))).toHaveLength(1);
  expect(lines.filter((line) => line.includes('| three'))).toHaveLength(1);
  expect(lines.at(-1)).toMatch(/^✔ fix-sum-again +merged/);
  await watching.waitForLine('coppice.run-ended');
  await watchingLines.waitForLine(`${idOf('again')} `);
  expect(await watching.kill('SIGINT')).toEqual({ code: 130, signal: null });
  expect(await watchingLines.kill('SIGINT')).toEqual({ code: 130, signal: null });
});

test('doctor reports what it finds, what is missing, and how to fix it', { timeout: 90_000 }, async () => {
  const running = await cli.run(['doctor', '--json'], { OPENAI_API_KEY: key, OPENAI_BASE_URL: '' });
  expect(running.exitCode).toBe(0);
  const checks = running.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { name: string; level: string; fix: string });
  const levelOf = (name: string) => checks.find((each) => each.name === name)?.level;
  for (const name of ['Node', 'git', 'nats-server', 'stack', 'model provider scripted', 'model provider anthropic'])
    expect([name, levelOf(name)]).toEqual([name, 'ok']);
  expect(['ok', 'warning']).toContain(levelOf('sandboxes'));
  expect(running.out).toContain("plays any script of the stack's machine, by its path");
  const news = checks.find(({ name, level }) => name === 'model provider openai' && level === 'warning');
  expect(news?.fix).toContain('only when it starts: coppice down, coppice up');
  expect(running.out).not.toContain(key);

  const broken = await cli.run(['doctor'], {
    COPPICE_NATS_SERVER: '/nonexistent',
    COPPICE_DOCKER_SOCKET: '/nonexistent',
    COPPICE_BWRAP: '/nonexistent',
    COPPICE_HOME: path.join(cli.folder, 'nowhere'),
  });
  expect(broken.exitCode).toBe(3);
  expect(broken.out).toMatch(/^✘ nats-server .*\n +fix: rm -r /m);
  expect(broken.out).toMatch(/^✘ sandboxes +no sandbox engine works.*\n +fix: install Docker/m);
  expect(broken.out).toMatch(/^✔ stack +none runs/m);

  const wrong = { OPENAI_BASE_URL: 'nowhere', COPPICE_HOME: path.join(cli.folder, 'nowhere') };
  const misconfigured = await cli.run(['doctor'], wrong);
  expect([misconfigured.exitCode, misconfigured.out]).toEqual([
    3,
    expect.stringMatching(/^✘ model providers +OPENAI_BASE_URL: expected/m),
  ]);
  const refused = await cli.run(['up'], wrong);
  expect(refused).toMatchObject({ exitCode: 2, err: expect.stringMatching(/^coppice: OPENAI_BASE_URL: expected/) });
  expect(existsSync(wrong.COPPICE_HOME)).toBe(false);
});

test('a key reaches the provider, but no file, log or child process of the stack', { timeout: 120_000 }, async () => {
  await using model = await startModelServer('said by a server');
  await using other = await CommandLine.create({ 'a.txt': 'a\n' });
  const environment = { OPENAI_API_KEY: key, OPENAI_BASE_URL: model.baseUrl };
  expect((await other.run(['up', '--engine', 'none'], environment)).exitCode).toBe(0);
  const run = [
    'run',
    '--engine',
    'none',
    '--prompt',
    'Say it',
    '--model',
    'openai/small-1',
    '--no-verify',
    '--write',
    'b.txt',
  ];
  expect((await other.run(run, {}, other.repository.path)).exitCode).toBe(0);
  expect(await other.repository.show('b.txt')).toBe('said by a server');
  expect(model.requests).toEqual([`Bearer ${key}`]);
  const found = await other.run(['doctor']);
  expect(found.out).toMatch(/^✔ model provider openai +can be used at 127\.0\.0\.1:\d+: openai\/small-1$/m);
  for (const child of childrenOf(await other.stackProcess()))
    expect(readFileSync(`/proc/${child}/environ`, 'latin1')).not.toContain(key);
  const leaks = readdirSync(other.home, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => readFileSync(file).includes(key));
  expect(leaks).toEqual([]);
});

function childrenOf(processId: number): string[] {
  const listed = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
  const children = listed
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, parent]) => parent === `${processId}`);
  expect(children.length).toBeGreaterThan(0);
  return children.map(([child]) => child ?? '');
}
