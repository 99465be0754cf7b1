import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { runIdOf } from '@coppice/contracts';
import type { TaskView } from '@coppice/contracts';
import { engineNoneMeans } from '../commands/run.ts';
import { exitCodes } from '../exit-codes.ts';
import { colours, wantsColours } from '../output/colours.ts';
import { homeFrom } from '../stack/home.ts';
import { projectFolder, setupResult } from '../stack/programs.ts';
import { engineChoices } from '../stack/services.ts';
import { readStatus } from '../stack/status.ts';
import { checkAnyOutcome, checkParallel, checkRepository, checkTasks, readTask } from './checks.ts';
import type { Check } from './checks.ts';
import { git, makeProject } from './make-project.ts';
import type { DemoProject } from './make-project.ts';
import { chooseModel } from './model.ts';
import type { DemoModel } from './model.ts';
import { allTasks, loopTasks } from './plan.ts';

const usage = `Usage: npm run demo [-- --engine auto|docker|bubblewrap|none] [--provider openai|ollama|lm-studio|llama-cpp] [--model NAME]
Without --provider (or COPPICE_DEMO_PROVIDER, COPPICE_DEMO_MODEL) a model that plays a script does the work.`;
const requestId = 'demo';
const runId = runIdOf('default', requestId);
const mainFile = path.resolve(import.meta.dirname, '../main.ts');
const paint = colours(wantsColours(process.stdout, process.env));

const say = (text = '') => void process.stdout.write(`${text}\n`);
const heading = (text: string) => say(`\n${paint.bold(text)}`);

/** Returns the exit code, which is 0 only if every check passed. */
export async function runDemo(programArguments: readonly string[]): Promise<number> {
  const options = readArguments(programArguments);
  const model = options === null ? usage : await chooseModel(options, process.env);
  if (options === null || typeof model === 'string') {
    process.stderr.write(`${model as string}\n`);
    return exitCodes.badInput;
  }
  const { engine } = options;
  let interrupted = false;
  // This process must stop the stack, so a write to a closed terminal must not end the process.
  process.stdout.on('error', () => {});
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'coppice-demo-')));
  // If the stack runs as root, sandboxes run as another user. That user must be able to enter the worktrees.
  chmodSync(folder, 0o711);
  const coppice = new Coppice(path.join(folder, 'home'), model.environment);
  // The terminal sends SIGINT and SIGHUP to the running command too. SIGTERM reaches only this process, so it
  // interrupts the command.
  for (const signal of ['SIGINT', 'SIGHUP', 'SIGTERM'] as const) {
    process.on(signal, () => {
      interrupted = true;
      if (signal === 'SIGTERM') coppice.interrupt();
    });
  }
  let allPassed = false;
  let printNext = () => {};
  try {
    heading('1. A repository whose tests are ahead of its code');
    const project = makeProject(folder, model);
    say(
      `${project.repository}: 1 of 5 test files passes; one fails because of a bug, the others test functions that don't exist yet.`,
    );
    if (!model.isScripted) printModel(model);

    heading('2. The stack: nats-server and four services, for this demo alone');
    const chosen = await startStack(coppice, engine);
    if (chosen === null) {
      say(`Its log and the demo's other files are in ${folder}; rm -rf ${folder} removes them.`);
      return exitCodes.stackUnavailable;
    }

    heading(
      '3. Seven tasks; two are done by agents that work with tools, and faster-count is meant to fail its verification',
    );
    say(paint.dim(`coppice run ${project.runFile}`));
    const code = await coppice.show('run', project.runFile, '--request-id', requestId, '--engine', chosen);
    if (interrupted || code === exitCodes.detached) return exitCodes.detached;
    allPassed = printResults(project, coppice, code, model);
    if (allPassed) printNext = () => printNextSteps(project, folder);
  } finally {
    say();
    await coppice.show('down');
  }
  printNext();
  return allPassed ? exitCodes.done : exitCodes.taskFailed;
}

type DemoOptions = { engine: string; provider?: string | undefined; model?: string | undefined };

function readArguments(programArguments: readonly string[]): DemoOptions | null {
  try {
    const { values } = parseArgs({
      args: [...programArguments],
      options: {
        engine: { type: 'string', default: 'auto' },
        provider: { type: 'string' },
        model: { type: 'string' },
      },
    });
    return (engineChoices as readonly string[]).includes(values.engine) ? values : null;
  } catch {
    return null;
  }
}

function printModel({ name, where }: DemoModel): void {
  say(
    `The model is ${paint.bold(name)} (${where}), a real one. The prompts of the tasks are sent to it, and their results depend on it.`,
  );
  say('With any model, only work that passes its verify command is merged, and every other task says why it failed.');
}

/** Part of the container service's error message on a machine where no engine works. */
const noSandboxWorks = 'no sandbox engine works';

/** Returns the stack's engine. Returns null if the start fails. */
async function startStack(coppice: Coppice, engine: string): Promise<string | null> {
  const noneFound = engine === 'auto' && setupResult()?.engine === 'none';
  const wanted = noneFound ? 'none' : engine;
  if (!noneFound && (await coppice.show('up', '--engine', wanted)) === exitCodes.done)
    return coppice.engine() ?? wanted;
  const noEngineWorks =
    readStatus(homeFrom({ COPPICE_HOME: coppice.home }))?.failure?.includes(noSandboxWorks) === true;
  if (!noneFound && !(engine === 'auto' && noEngineWorks)) return null;
  heading('No sandbox works on this machine');
  for (const line of setupResult()?.tried ?? []) say(`  tried: ${line}`);
  say(paint.yellow(`Going on with ${engineNoneMeans}`));
  say('In the demo this is harmless, since its model plays a script. "coppice run" does it only with --engine none.');
  return (await coppice.show('up', '--engine', 'none')) === exitCodes.done ? 'none' : null;
}

/** Returns true if every check passed. */
function printResults(project: DemoProject, coppice: Coppice, runExitCode: number, model: DemoModel): boolean {
  const tasks = new Map<string, TaskView>();
  for (const name of allTasks) {
    for (const json of coppice.read('show', `${runId}/${name}`, '--json')) tasks.set(name, readTask(json));
  }
  heading('4. What is merged');
  const colour = wantsColours(process.stdout, process.env) ? 'always' : 'never';
  say(git(project.repository, 'log', '--graph', '--oneline', `--color=${colour}`, 'main'));
  const [loopTask] = loopTasks;
  say(`\nWhat the agent of ${loopTask} said and did (coppice logs; without what its commands printed):`);
  for (const line of coppice.read('logs', `${runId}/${loopTask}`)) if (!/^ +\|/.test(line)) say(paint.dim(line));

  heading("5. The repository's own tests, on what is merged");
  const tests = spawnSync(process.execPath, ['--test', '--test-reporter=spec'], {
    cwd: project.repository,
    encoding: 'utf8',
  });
  say(tests.stdout.trimEnd());

  heading('6. As promised?');
  const testsPass = { promise: 'all tests pass', kept: tests.status === 0, found: `exit code ${tests.status}` };
  const checks = model.isScripted
    ? [...scriptedChecks(project, coppice, tasks, runExitCode), testsPass]
    : checkAnyOutcome(project, tasks);
  for (const { promise, kept, found } of checks) {
    say(kept ? `${paint.green('✔')} ${promise}` : `${paint.red('✘')} ${promise}: ${found}`);
  }
  const kept = checks.every((check) => check.kept);
  if (!kept) say(`\nNot every check passed. The stack's log: ${homeFrom({ COPPICE_HOME: coppice.home }).logFile}`);
  return kept;
}

function scriptedChecks(
  project: DemoProject,
  coppice: Coppice,
  tasks: ReadonlyMap<string, TaskView>,
  runExitCode: number,
): Check[] {
  const replayed = loopTasks.map((name): Check => {
    const [said = 'nothing'] = coppice.read('replay', `${runId}/${name}`);
    return {
      promise: `the agent of ${name}, replayed offline, decides the same`,
      kept: said.startsWith('same:'),
      found: said,
    };
  });
  return [
    {
      promise: 'the run says that a task failed (exit code 1)',
      kept: runExitCode === exitCodes.taskFailed,
      found: `${runExitCode}`,
    },
    ...checkTasks(tasks),
    ...checkParallel(coppice.read('watch', runId, '--json')),
    ...replayed,
    ...checkRepository(project, tasks),
  ];
}

function printNextSteps(project: DemoProject, folder: string): void {
  const command = path.join(projectFolder, 'coppice');
  heading('What next');
  const commands = [
    [`git -C ${project.repository} log --stat`, 'what each task did'],
    [`cat ${project.runFile}`, 'the run file; copy it for a repository of yours'],
    [`${command} run ${project.runFile}`, 'runs it; docs/run-file.md lists its fields'],
    [
      `COPPICE_HOME=${path.join(folder, 'home')} ${command} up`,
      'starts the stack of the demo again, for the commands that its report names',
    ],
    [`${command} --help`, 'everything else'],
    [`rm -rf ${folder}`, 'removes the demo'],
  ] as const;
  const columns = Math.max(...commands.map(([text]) => text.length));
  for (const [text, why] of commands) say(`  ${text.padEnd(columns)}  ${paint.dim(why)}`);
  say();
}

/** Runs `coppice` commands in the demo's own home. */
class Coppice {
  readonly home: string;
  readonly #environment: NodeJS.ProcessEnv;
  #shown: ChildProcess | null = null;

  constructor(home: string, environment: NodeJS.ProcessEnv) {
    this.home = home;
    this.#environment = { ...process.env, ...environment, COPPICE_HOME: home };
    for (const name of ['NATS_URL', 'NATS_USER', 'NATS_PASSWORD']) delete this.#environment[name];
  }

  /** Detaches the command that `show` runs. */
  interrupt(): void {
    this.#shown?.kill('SIGINT');
  }

  engine(): string | null {
    return readStatus(homeFrom({ COPPICE_HOME: this.home }))?.engine ?? null;
  }

  /** Runs a command on this terminal. */
  show(...commandArguments: string[]): Promise<number> {
    const child = spawn(process.execPath, [mainFile, ...commandArguments], {
      env: this.#environment,
      stdio: 'inherit',
    });
    this.#shown = child;
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => resolve(code ?? exitCodes.stackUnavailable));
    });
  }

  /** Runs a command without a terminal. Returns the lines of its stdout. */
  read(...commandArguments: string[]): string[] {
    const env = this.#environment;
    const { stdout } = spawnSync(process.execPath, [mainFile, ...commandArguments], { env, encoding: 'utf8' });
    return stdout.split('\n').filter((line) => line !== '');
  }
}
