/** Tests the command line on the whole stack. Only the model is a stand-in. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { coppiceEventSchema, runIdOf, taskViewSchema } from '@coppice/contracts';
import { eventually } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CommandLine } from '../support/command-line.ts';
import { sandboxes } from '../support/sandboxes.ts';

const script = `
rules:
  # The answer takes longer than everything else that its test starts, even on a busy machine.
  - when: { contains: very long }
    turns: [{ text: "late\\n", latencyMs: 60000 }]
  - when: { contains: slowly }
    turns: [{ text: "slow\\n", latencyMs: 6000 }]
  - when: { contains: wrongly }
    turns: [{ text: "wrong \\e[31mred\\e[0m\\n" }]
default: { turns: [{ text: "right\\n" }] }
`;

type Task = { name: string; prompt?: string; rest?: string };

const runFile = (repository: string, tasks: Task[], defaults = '') => `
repository: ${repository}
baseBranch: main
defaults:
  model: scripted/script.yaml
  agent: { kind: prompt, file: unused.txt }
  verify: sh check.sh
${defaults}
tasks:
${tasks
  .map(
    ({ name, prompt = 'do it', rest = '' }) => `  - name: ${name}
    description: Add ${name}
    prompt: ${prompt}
    agent: { kind: prompt, file: ${name}.txt }
    ${rest}`,
  )
  .join('\n')}
`;

/** Fails if a file contains "wrong", and prints the matching lines. */
const check = 'if grep -h wrong *.txt; then exit 3; fi\n';

let cli: CommandLine;
const engine = sandboxes();

beforeAll(async () => {
  cli = await CommandLine.create({ 'check.sh': check, 'first.txt': 'right\n' });
  await cli.write('script.yaml', script);
}, 60_000);

afterAll(async () => {
  await cli[Symbol.asyncDispose]();
}, 60_000);

async function run(name: string, tasks: Task[], options: string[] = [], defaults = '') {
  const file = await cli.write(`${name}.yaml`, runFile(cli.repository.path, tasks, defaults));
  return cli.run(['run', file, '--engine', engine, '--request-id', name, ...options]);
}

const idOf = (requestId: string) => runIdOf('default', requestId);

test('without a stack, ls explains how to start one, and creates no files', async () => {
  const outcome = await cli.run(['ls']);
  expect(outcome).toMatchObject({ exitCode: 3, out: '' });
  expect(outcome.err).toContain('start one with "coppice up"');
  expect(existsSync(cli.home)).toBe(false);
});

test('the error for an invalid run file has its place, and nothing is started', async () => {
  const file = await cli.write('wrong.yaml', 'repository: .\nbaseBranch: main\ntasks:\n  - { name: a }\n');
  const outcome = await cli.run(['run', file]);
  expect(outcome.exitCode).toBe(2);
  expect(outcome.err).toContain(`${file}:4:5: tasks[0].description: expected string, received nothing`);
  expect(existsSync(cli.home)).toBe(false);
});

test('the error for a misspelt branch has its place, too', async () => {
  const file = await cli.write('misspelt.yaml', runFile(cli.repository.path, [{ name: 'a' }]).replace('main', 'mian'));
  const outcome = await cli.run(['run', file, '--engine', engine]);
  expect(outcome).toMatchObject({ exitCode: 2, out: '' });
  expect(outcome.err).toBe(`coppice: ${file}:3:1: baseBranch: expected one of main, received mian\n`);
  expect(existsSync(cli.home)).toBe(false);
});

test.each([
  [['frobnicate'], "unknown command 'frobnicate'"],
  [['help', 'frobnicate'], "unknown command 'frobnicate'"],
  [['run'], "missing required argument 'file'"],
  [['run', 'x.yaml', '--engine', 'vm'], 'Allowed choices are auto, docker, bubblewrap, none'],
  [['ls', '--limit', 'many'], 'A number from 1 to 500'],
  [['logs', 'x', '--tail', '0'], 'A number from 1 to 1000000'],
  [['ls', '--tenant', 'A B'], 'A tenant has lower-case letters'],
  [['--tenant', 'A B', 'ls'], 'A tenant has lower-case letters'],
  [['run', 'missing.yaml'], 'missing.yaml: there is no such file'],
])('%j is wrong usage', async (commandArguments, expected) => {
  const outcome = await cli.run(commandArguments);
  expect(outcome).toMatchObject({ exitCode: 2, out: '' });
  expect(outcome.err).toContain(expected);
});

test('help has examples and the exit codes', async () => {
  const outcome = await cli.run(['--help']);
  expect(outcome.exitCode).toBe(0);
  expect(outcome.out).toContain('coppice run plan.yaml --detach');
  expect(outcome.out).toMatch(/130 +interrupted by Ctrl-C/);
});

test('help with a command describes that command, and --version prints the version', async () => {
  const help = await cli.run(['help', 'run']);
  expect(help).toMatchObject({ exitCode: 0, err: '' });
  expect(help.out).toMatch(/^Usage: coppice run /);
  const version = await cli.run(['--version']);
  expect(version).toMatchObject({ exitCode: 0, err: '', out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
});

test(
  'run starts the stack, writes plain lines into a pipe, and shows why a task did not land',
  { timeout: 120_000 },
  async () => {
    const outcome = await run('mixed', [
      { name: 'good' },
      { name: 'bad', prompt: 'wrongly' },
      { name: 'later', rest: 'dependsOn: [good]' },
      { name: 'never', rest: 'dependsOn: [bad]' },
    ]);
    expect(outcome.exitCode).toBe(1);
    expect(outcome.out).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F]/);
    expect(outcome.out).toMatch(/^\d\d:\d\d:\d\d good: merged$/m);
    expect(outcome.out).toMatch(/^✘ bad +failed +.*exit code 3$/m);
    expect(outcome.out).toContain('    | wrong red');
    expect(outcome.out).toMatch(/^✔ later +merged/m);
    expect(outcome.out).toMatch(/^[✘-] never +\w+ +.*bad/m);
    expect(outcome.err).toContain('the stack goes on in the background');
    expect(await cli.repository.show('good.txt')).toBe('right\n');
    expect(await cli.repository.show('bad.txt')).toBeNull();
  },
);

test('the same request id is the same run', { timeout: 60_000 }, async () => {
  const head = await cli.repository.head();
  const outcome = await run('mixed', [
    { name: 'good' },
    { name: 'bad', prompt: 'wrongly' },
    { name: 'later', rest: 'dependsOn: [good]' },
    { name: 'never', rest: 'dependsOn: [bad]' },
  ]);
  expect(outcome.exitCode).toBe(1);
  expect(outcome.err).toContain('was submitted before with this request id');
  expect(await cli.repository.head()).toBe(head);
  const other = await run('mixed', [{ name: 'else' }]);
  expect(other.exitCode).toBe(2);
  expect(other.err).toContain('--request-id: expected an id that names no other run');
});

test('--json writes only events, one per line', { timeout: 60_000 }, async () => {
  const outcome = await run('json', [{ name: 'one' }, { name: 'two' }], ['--json']);
  expect(outcome.exitCode).toBe(0);
  const events = outcome.out
    .trim()
    .split('\n')
    .map((line) => coppiceEventSchema.parse(JSON.parse(line)));
  expect(events[0]?.type).toBe('coppice.run-submitted');
  expect(events.at(-1)).toMatchObject({ type: 'coppice.run-ended', data: { state: 'succeeded' } });
  const again = await cli.run(['watch', idOf('json'), '--json']);
  expect(again).toMatchObject({ exitCode: 0, out: outcome.out });
});

test('an error of the orchestrator has its place in the file, too', { timeout: 60_000 }, async () => {
  const unknown = await run('unknown', [{ name: 'a', rest: 'dependsOn: [b]' }]);
  expect(unknown.exitCode).toBe(2);
  expect(unknown.err).toMatch(/unknown\.yaml:\d+:17: tasks\[0\]\.dependsOn\[0\]: expected the name of a task/);
  const file = await cli.write('branch.yaml', runFile(cli.repository.path, [{ name: 'a' }]).replace('main', 'absent'));
  const branch = await cli.run(['run', file, '--engine', engine]);
  expect(branch.exitCode).toBe(2);
  expect(branch.err).toMatch(/branch\.yaml:3:1: baseBranch: .*"absent"/);
});

test('Ctrl-C detaches while the run continues; then a user merges it', { timeout: 90_000 }, async () => {
  const file = await cli.write(
    'manual.yaml',
    runFile(cli.repository.path, [{ name: 'asks', prompt: 'slowly', rest: 'merge: manual' }]),
  );
  await using running = cli.start(['run', file, '--engine', engine, '--request-id', 'manual']);
  await running.waitForLine('asks: working');
  expect(await running.kill('SIGINT')).toEqual({ code: 130, signal: null });
  const said = running.lines.map(({ text }) => text).join('\n');
  expect(said).toContain(`coppice watch ${idOf('manual')}`);
  expect(said).toContain(`coppice cancel ${idOf('manual')}`);

  const watched = await cli.run(['watch', idOf('manual').slice(0, 8)]);
  expect(watched.exitCode).toBe(4);
  expect(watched.out).toContain(`coppice merge ${idOf('manual')}/asks`);
  const diff = await cli.run(['diff', `${idOf('manual')}/asks`]);
  execFileSync('git', ['-C', cli.repository.path, 'apply', '--check'], { input: diff.out });
  expect((await cli.run(['merge', `${idOf('manual')}/asks`])).exitCode).toBe(0);
  expect((await cli.run(['watch', idOf('manual')])).exitCode).toBe(0);
  const shown = await cli.run(['show', `${idOf('manual')}/asks`, '--json']);
  const task = taskViewSchema.parse(JSON.parse(shown.out));
  expect(task).toMatchObject({ state: 'merged', landedCommit: await cli.repository.head() });
  const twice = await cli.run(['merge', task.taskId]);
  expect(twice.exitCode).toBe(2);
});

test('a change of a protected path waits for approval; a rejected one does not land', { timeout: 90_000 }, async () => {
  const tasks = [{ name: 'wanted' }, { name: 'unwanted' }];
  const submitted = await run('protected', tasks, [], '  protect: ["*.txt"]');
  expect(submitted.exitCode).toBe(4);
  expect(submitted.out).toContain(`coppice approve ${idOf('protected')}/wanted`);
  expect((await cli.run(['approve', `${idOf('protected')}/wanted`])).exitCode).toBe(0);
  const rejected = await cli.run(['reject', `${idOf('protected')}/unwanted`, '--reason', 'not that one']);
  expect(rejected.exitCode).toBe(0);
  const watched = await cli.run(['watch', idOf('protected')]);
  expect(watched.exitCode).toBe(1);
  expect(watched.out).toContain('not that one');
  expect(await cli.repository.show('wanted.txt')).toBe('right\n');
  expect(await cli.repository.show('unwanted.txt')).toBeNull();
});

test(
  'the kept branch of a discarded task is reported, and the printed command pulls it',
  { timeout: 90_000 },
  async () => {
    expect((await run('discarded', [{ name: 'kept', rest: 'merge: manual' }])).exitCode).toBe(4);
    const discarded = await cli.run(['discard', `${idOf('discarded')}/kept`, '--keep-branch']);
    expect(discarded.exitCode).toBe(0);
    const [, branch = '', id = ''] =
      /its branch (\S+) is kept by the stack, .*: coppice pull (\S+)$/m.exec(discarded.out) ?? [];
    expect((await cli.run(['watch', idOf('discarded')])).exitCode).toBe(1);
    expect((await cli.run(['pull', id], {}, cli.repository.path)).exitCode).toBe(0);
    expect(await cli.repository.show('kept.txt', branch)).toBe('right\n');
    expect(await cli.repository.show('kept.txt')).toBeNull();
  },
);

test(
  'a stack that was killed during work can be started again, and the run continues to exactly one merge',
  { timeout: 120_000 },
  async () => {
    const detached = await run('killed', [{ name: 'survivor', prompt: 'slowly' }], ['--detach', '--json']);
    expect(JSON.parse(detached.out)).toEqual({ runId: idOf('killed'), requestId: 'killed' });
    await eventually(async () => (await cli.run(['show', idOf('killed')])).out.includes('working'), {
      intervalMs: 200,
    });
    const before = await cli.stackProcess();
    process.kill(before, 'SIGKILL');
    const up = await cli.run(['up', '--engine', engine]);
    expect(up.exitCode).toBe(0);
    expect(up.out).toMatch(/ended the nats-server \(process \d+\) that a killed stack had left/);
    expect(await cli.stackProcess()).not.toBe(before);
    const watched = await cli.run(['watch', idOf('killed')]);
    expect(watched.exitCode).toBe(0);
    const merges = (await cli.repository.git('log', '--format=%H', '--', 'survivor.txt')).split('\n');
    expect(merges).toHaveLength(1);
  },
);

test('cancel stops a run', { timeout: 60_000 }, async () => {
  await run('cancelled', [{ name: 'stopped', prompt: 'slowly' }], ['--detach']);
  expect((await cli.run(['cancel', idOf('cancelled'), '--reason', 'changed my mind'])).exitCode).toBe(0);
  const watched = await cli.run(['watch', idOf('cancelled')]);
  expect(watched.exitCode).toBe(1);
  expect(watched.out).toMatch(/stopped +cancelled/);
});

test('the stack can be used by its address, as a remote stack', { timeout: 60_000 }, async () => {
  const { servers, user, password } = await cli.connection();
  const environment = { NATS_URL: servers, NATS_USER: user, NATS_PASSWORD: password, COPPICE_HOME: `${cli.home}-none` };
  const listed = await cli.run(['ls', '--json'], environment);
  expect(listed.exitCode).toBe(0);
  expect(listed.out).toContain(idOf('mixed'));
  expect(existsSync(`${cli.home}-none`)).toBe(false);
  expect((await cli.run(['up'], environment)).exitCode).toBe(2);
  const anonymous = await cli.run(['ls'], { ...environment, NATS_USER: '', NATS_PASSWORD: '' });
  expect(anonymous.exitCode).toBe(3);
  expect(anonymous.err).toMatch(/refuses this user.*NATS_CREDENTIALS_FILE/);
  const otherTenant = await cli.run(['--tenant', 'someone-else', 'ls', '--json'], environment);
  expect(otherTenant).toMatchObject({ exitCode: 0, out: '' });
});

test('down ends the stack; a second down finds nothing to end', { timeout: 90_000 }, async () => {
  const { servers, user, password } = await cli.connection();
  expect((await cli.run(['down'])).exitCode).toBe(0);
  const environment = { NATS_URL: servers, NATS_USER: user, NATS_PASSWORD: password };
  expect((await cli.run(['ls'], environment)).err).toContain('can not be reached');
  const again = await cli.run(['down']);
  expect(again).toMatchObject({ exitCode: 0, err: '' });
  expect(again.out).toContain('nothing runs');
});

test.each([...new Set([engine, 'none'])])(
  'down ends the processes that a killed stack left, with engine %s',
  { timeout: 120_000 },
  async (name) => {
    await using other = await CommandLine.create({ 'check.sh': check });
    await other.write('script.yaml', script);
    const sleeps = `sleep 31415.${process.pid}`;
    const plan = runFile(other.repository.path, [{ name: 'endless' }]).replace('sh check.sh', sleeps);
    const file = await other.write('plan.yaml', plan);
    await other.run(['run', file, '--engine', name, '--detach']);
    await eventually(() => isRunning(sleeps), { timeoutMs: 30_000, intervalMs: 100 });
    process.kill(await other.stackProcess(), 'SIGKILL');
    const down = await other.run(['down']);
    expect(down.exitCode).toBe(0);
    expect(down.out).toContain('was killed; ended its nats-server');
    await eventually(() => !isRunning(sleeps));
  },
);

const serverProcess = (home: string): number =>
  (JSON.parse(readFileSync(path.join(home, 'stack', 'nats', 'process.json'), 'utf8')) as { pid: number }).pid;

const ends = {
  down: async (of: CommandLine) => expect((await of.run(['down'])).exitCode).toBe(0),
  'a killed process': async (of: CommandLine) => process.kill(await of.stackProcess(), 'SIGKILL'),
  'a killed process and server': async (of: CommandLine) => {
    for (const pid of [await of.stackProcess(), serverProcess(of.home)]) process.kill(pid, 'SIGKILL');
  },
};

test.each(Object.entries(ends))(
  'watch and logs -f report the end of the stack by %s, and exit',
  { timeout: 120_000 },
  async (_name, end) => {
    await using other = await CommandLine.create({ 'check.sh': check });
    await other.write('script.yaml', script);
    const file = await other.write(
      'plan.yaml',
      runFile(other.repository.path, [{ name: 'slow', prompt: 'very long' }]),
    );
    await using watching = other.start(['run', file, '--engine', 'none']);
    await watching.waitForLine('slow: working');
    const runId = idOnly(await other.run(['ls', '--json']));
    await using logs = other.start(['logs', runId, '-f']);
    await logs.waitForLine('working');
    await using all = other.start(['watch']);
    await all.waitForLine('Watching all runs: 1 running');
    await using one = other.start(['watch', `${runId}/slow`]);
    await one.waitForLine('slow: working');
    await end(other);
    for (const watcher of [watching, logs, all, one]) {
      expect(await watcher.exited).toEqual({ code: 3, signal: null });
      const sentence =
        /^coppice: the stack (has ended|is being stopped); runs? .*kept\. Go on with: coppice up, then coppice watch/;
      expect(watcher.lines.at(-1)?.text).toMatch(sentence);
    }
  },
);

const idOnly = ({ out }: { out: string }): string => (JSON.parse(out) as { runId: string }).runId;

/** Returns true if any process, also in a sandbox, has a command line that starts with the text. */
function isRunning(text: string): boolean {
  if (!existsSync('/proc/self/cmdline'))
    return execFileSync('ps', ['-A', '-o', 'args='], { encoding: 'utf8' }).includes(text);
  return readdirSync('/proc').some((name) => {
    try {
      return (
        /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'latin1').replaceAll('\0', ' ').startsWith(text)
      );
    } catch {
      return false;
    }
  });
}

test('up --foreground writes logs, and Ctrl-C stops the stack in order', { timeout: 60_000 }, async () => {
  await using running = cli.start(['up', '--foreground', '--engine', 'none']);
  await running.waitForLine('"msg":"ready"');
  const second = await cli.run(['up']);
  expect(second).toMatchObject({ exitCode: 0, out: expect.stringContaining('a stack runs already') as string });
  expect(await running.kill('SIGINT')).toEqual({ code: 0, signal: null });
  expect((await cli.run(['down'])).out).toContain('nothing runs');
});

test('if a stack has no sandboxes, run fails unless that is requested', { timeout: 90_000 }, async () => {
  await using other = await CommandLine.create({ 'check.sh': check });
  await other.write('script.yaml', script);
  const file = await other.write('plan.yaml', runFile(other.repository.path, [{ name: 'a' }]));
  const nowhere = { COPPICE_DOCKER_SOCKET: '/nonexistent', COPPICE_BWRAP: '/nonexistent' };
  const unable = await other.run(['run', file], nowhere);
  expect(unable.exitCode).toBe(3);
  expect(unable.err.match(/--engine none/g)).toHaveLength(1);
  expect(unable.err.match(/no sandbox engine works here/g)).toHaveLength(1);
  const up = await other.run(['up', '--engine', 'none']);
  expect(up.err).toContain('Nothing keeps them from your files');
  const refused = await other.run(['run', file]);
  expect(refused.exitCode).toBe(2);
  expect(refused.err).toContain('coppice run --engine none');
  const accepted = await other.run(['run', file, '--engine', 'none']);
  expect(accepted.err).toContain('WARNING');
  expect(accepted.exitCode).toBe(0);
});
