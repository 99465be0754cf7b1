/** The commands and options of the command line. Only this file imports commander. */
import { createRequire } from 'node:module';
import { budgetsCommand } from './commands/budgets.ts';
import { busUsersCommand } from './commands/bus-users.ts';
import type { BusUsersOptions } from './commands/bus-users.ts';
import { mergeModeSchema, tenantSchema } from '@coppice/contracts';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { actCommand, cancelCommand } from './commands/acting.ts';
import { diffCommand } from './commands/diff.ts';
import { artifactCommand } from './commands/artifact.ts';
import { doctorCommand } from './commands/doctor.ts';
import { faultyUpstreamCommand } from './commands/faulty-upstream.ts';
import type { FaultyUpstreamOptions } from './commands/faulty-upstream.ts';
import { listCommand, showCommand } from './commands/listing.ts';
import { logsCommand } from './commands/logs.ts';
import { pullCommand } from './commands/pull.ts';
import { replayCommand } from './commands/replay.ts';
import { runCommand } from './commands/run.ts';
import type { RunSource } from './commands/run.ts';
import type { Session } from './commands/session.ts';
import { downCommand, upCommand } from './commands/stack.ts';
import { tokenCommand } from './commands/token.ts';
import type { TokenOptions } from './commands/token.ts';
import { traceCommand } from './commands/trace.ts';
import { watchCommand } from './commands/watch.ts';
import { CliError, describeFailure } from './errors.ts';
import { exitCodes, exitCodesHelp } from './exit-codes.ts';
import { environmentHelp, examples, idHelp } from './help-texts.ts';
import { plainText } from './output/text.ts';
import { engineChoices } from './stack/services.ts';
import type { EngineChoice } from './stack/services.ts';

/** Returns the command's exit code. Prints errors and never throws. */
export async function runProgram(programArguments: readonly string[], session: Session): Promise<number> {
  let exitCode: number = exitCodes.done;
  const program = build(session, (code) => (exitCode = code));
  try {
    await program.parseAsync([...programArguments], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.badInput;
    const failure = describeFailure(error);
    session.terminal.err(`coppice: ${plainText(failure.text)}`);
    return failure.exitCode;
  }
}

function build(session: Session, done: (exitCode: number) => void): Command {
  const program = new Command('coppice')
    .description(
      'Runs many coding agents in parallel on one git repository and merges only changes that pass your verify command.',
    )
    .version(version, '-V, --version', 'the version of Coppice')
    .helpCommand(false)
    .option('--tenant <name>', "act as this tenant (default: the credentials file's, else default)", tenant)
    .exitOverride()
    .showHelpAfterError('(coppice --help, or coppice help COMMAND, says more)')
    .configureOutput({
      writeOut: (text) => session.terminal.out(text.trimEnd()),
      writeErr: (text) => session.terminal.err(plainText(text).trimEnd()),
    })
    .addHelpText('after', `\n${idHelp}\n\n${examples}\n\n${exitCodesHelp}\n\n${environmentHelp}`);
  const current = (): Session => ({ ...session, tenant: program.opts<{ tenant?: string }>().tenant });
  program.commandsGroup('Runs and tasks:');
  addRunCommands(program, current, done);
  addLookingCommands(program, current, done);
  addTaskCommands(program, current, done);
  program.commandsGroup('The stack and its models:');
  addStackCommands(program, current, done);
  program.commandsGroup('For operators:');
  addOperatorCommands(program, current, done);
  program.commandsGroup('Help:');
  addHelpCommand(program);
  return program;
}

/** Replaces commander's own `help`. For an unknown command, that shows the whole help and no error. */
function addHelpCommand(program: Command): void {
  program
    .command('help')
    .description('show this help, or the help of a command')
    .argument('[command]')
    .action((name: string | undefined) => {
      if (name === undefined) program.help();
      const command = program.commands.find((each) => each.name() === name);
      if (command === undefined) program.error(`error: unknown command '${name}'`);
      else command.help();
    });
}

const json = () => new Option('--json', 'JSON lines instead of text');
const engine = () =>
  new Option(
    '--engine <name>',
    'what isolates agents: auto uses docker if it works, else bubblewrap; none isolates nothing',
  )
    .choices(engineChoices)
    .default('auto' satisfies EngineChoice);

type Done = (exitCode: number) => void;
type Current = () => Session;

function addStackCommands(program: Command, current: Current, done: Done): void {
  program
    .command('up')
    .description('start the embedded stack in the background, unless it already runs')
    .option('--foreground', 'run in the foreground, log to standard error, stop with Ctrl-C', false)
    .addOption(engine())
    .action(async (options: { foreground: boolean; engine: EngineChoice }) =>
      done(await upCommand(current(), options)),
    );
  program
    .command('down')
    .description('drain and stop the embedded stack; unfinished runs continue at the next start')
    .action(async () => done(await downCommand(current())));
  program
    .command('token')
    .description(
      "make a token for the gateway's HTTP endpoints; its calls count towards its own limits, those of the tenant and, with an ID, those of that unfinished run or task",
    )
    .argument('[id]', idHelp)
    .option('--ttl <duration>', 'how long the token is valid, at most 25h', '1h')
    .option(
      '--model <name>',
      'a model that the token allows: provider/model or an alias; repeat the option for more (default: all)',
      gathered,
    )
    .option('--tokens <count>', 'limit for all calls with the token together, in tokens of input and output', positive)
    .option('--cost-usd <dollars>', 'the same in US dollars', positive)
    .addOption(json())
    .action(
      async (id: string | undefined, { json: asJson, ...options }: Omit<TokenOptions, 'json'> & { json?: boolean }) =>
        done(await tokenCommand(current(), id, { ...options, json: asJson === true })),
    );
  program
    .command('budgets')
    .description('what is left of the budgets for model calls: those of your tenant, and those of a run or task')
    .argument('[id]', idHelp)
    .addOption(json())
    .action(async (id: string | undefined, { json: asJson }: { json?: boolean }) =>
      done(await budgetsCommand(current(), id, { json: asJson === true })),
    );
}

function addOperatorCommands(program: Command, current: Current, done: Done): void {
  program
    .command('bus-users')
    .description("make users of a NATS server: keys for each service and tenant, and the server's configuration")
    .requiredOption('--folder <path>', 'where to write them; existing keys are kept')
    .option('--node <name...>', 'hosts of services to add, by their COPPICE_NODE (default, if there is none: node-1)')
    .option('--remove-node <name...>', 'hosts to remove')
    .option('--publisher <tenant...>', 'tenants to add as publishers')
    .action((options: BusUsersOptions) => done(busUsersCommand(current(), options)));
  program
    .command('faulty-upstream')
    .description('run a model server with faults that you choose, in every wire format, for tests; Ctrl-C ends it')
    .option('--host <address>', 'the address to listen on', '127.0.0.1')
    .option('--port <number>', 'the port to listen on; 0 chooses a free one', countFrom(0, 65_535), 8799)
    .option('--fault <name>', "the fault for requests whose model isn't the name of a fault, such as latency@500")
    .option('--every <count>', 'one of this many requests fails, the others succeed', countTo(everyMax), 1)
    .option('--list', 'only list the faults', false)
    .action(async (options: FaultyUpstreamOptions) => done(await faultyUpstreamCommand(current(), options)));
}

type RunOptions = {
  requestId?: string;
  detach?: boolean;
  json?: boolean;
  engine: EngineChoice;
  prompt?: string;
  model?: string;
  verify?: string | false;
  merge?: string;
  name?: string;
  description?: string;
  base?: string;
  type?: string;
  time?: string;
  write?: string;
};
/** Options that are only valid with `--prompt`. A run file has fields for them. */
const promptOptionNames = ['model', 'verify', 'merge', 'name', 'description', 'base', 'type', 'time', 'write'] as const;

function addRunCommands(program: Command, current: Current, done: Done): void {
  program
    .command('run')
    .description(
      'start the run that a file describes, or one task with --prompt, and watch it until it ends or needs you',
    )
    .argument('[file]', 'the run file (YAML)')
    .option('--prompt <text>', 'run this one task instead of a file, in the current repository and branch')
    .option('--model <provider/model>', 'with --prompt: the model that does the task')
    .option('--verify <command>', 'with --prompt: the task lands only if this exits with 0')
    .option('--no-verify', 'with --prompt: land without a check')
    .addOption(
      new Option(
        '--merge <mode>',
        'with --prompt: auto lands when verified, manual waits, branch pushes a branch',
      ).choices(mergeModeSchema.options),
    )
    .option('--name <name>', "with --prompt: the task's name (default: from the description)")
    .option('--description <line>', "with --prompt: the commit's subject (default: the prompt's first line)")
    .option('--base <branch>', 'with --prompt: where it starts and lands (default: the current branch)')
    .option('--type <type>', 'with --prompt: the type of the commit, such as fix (default: feat)')
    .option('--time <duration>', 'with --prompt: the time limit of the task, such as 10m (default: 30m)')
    .option('--write <path>', 'with --prompt: no agent; one model call, whose answer is written to this file')
    .option(
      '--request-id <text>',
      'id of the request; a repeat with the same id joins the same run (default: a new id)',
    )
    .option('--detach', "don't watch", false)
    .addOption(engine())
    .addOption(json())
    .addHelpText('after', `\nCtrl-C detaches; the run goes on.\n\n${exitCodesHelp}`)
    .action(async (file: string | undefined, options: RunOptions) => {
      const { requestId, detach, json: asJson, engine: engineChoice } = options;
      const source = runSource(file, options);
      const rest = { detach: detach === true, json: asJson === true, engine: engineChoice };
      done(await runCommand(current(), source, { ...rest, ...(requestId === undefined ? {} : { requestId }) }));
    });
  program
    .command('ls')
    .description('runs, newest first')
    .option('--limit <count>', 'the maximum number of runs', countTo(listMax), 20)
    .addOption(json())
    .action(async (options: { limit: number; json?: boolean }) =>
      done(await listCommand(current(), { limit: options.limit, json: options.json === true })),
    );
  program
    .command('watch')
    .description('follow a run or task until it ends or needs you; without ID all runs; Ctrl-C detaches')
    .argument('[id]', idHelp)
    .addOption(json())
    .action(async (id: string | undefined, options: { json?: boolean }) =>
      done(await watchCommand(current(), id, { json: options.json === true })),
    );
  program
    .command('doctor')
    .description('check what Coppice needs, and show how to fix what is missing')
    .addOption(json())
    .action(async (options: { json?: boolean }) =>
      done(await doctorCommand(current(), { json: options.json === true })),
    );
}

/** @throws CliError for options that can't be combined */
function runSource(file: string | undefined, options: RunOptions): RunSource {
  const { prompt, write, ...rest } = options;
  if (prompt !== undefined && file === undefined) return { kind: 'prompt', prompt, file: write, ...rest };
  if (prompt !== undefined) throw new CliError(exitCodes.badInput, 'either a run file or --prompt, not both');
  if (file === undefined) throw new CliError(exitCodes.badInput, "missing required argument 'file', or --prompt TEXT");
  const stray = promptOptionNames.find((name) => options[name] !== undefined);
  if (stray === undefined) return { kind: 'file', file };
  const typed = options[stray] === false ? `no-${stray}` : stray;
  throw new CliError(exitCodes.badInput, `--${typed} is only valid with --prompt; in a run file it is a field`);
}

function addLookingCommands(program: Command, current: Current, done: Done): void {
  for (const [name, description, command] of [
    ['show', 'a run with its tasks, or a task with everything that is known about it', showCommand],
    ['trace', 'where the time of a run or task went: its steps, its model turns, and what it waited for', traceCommand],
    ['replay', "replay a task's agent offline on its recorded turns, and report the first difference", replayCommand],
  ] as const) {
    program
      .command(name)
      .description(description)
      .argument('<id>', idHelp)
      .addOption(json())
      .action(async (id: string, options: { json?: boolean }) =>
        done(await command(current(), id, { json: options.json === true })),
      );
  }
  program
    .command('diff')
    .description("a task's change as a patch")
    .argument('<id>', idHelp)
    .option('--raw', 'keep control characters, which a terminal may execute', false)
    .addOption(json().conflicts('raw'))
    .action(async (id: string, options: { raw?: boolean; json?: boolean }) =>
      done(await diffCommand(current(), id, { raw: options.raw === true, json: options.json === true })),
    );
  program
    .command('logs')
    .description("what a task's agent says and does, and what its commands print")
    .argument('<id>', idHelp)
    .option('-f, --follow', 'follow until the task ends or needs you', false)
    .option('--tail <count>', 'show only the last of the stored lines (with --json: entries)', countTo(tailMax))
    .option('--full', 'show all texts completely', false)
    .addOption(json())
    .action(async (id: string, options: { follow: boolean; tail?: number; full: boolean; json?: boolean }) =>
      done(await logsCommand(current(), id, { ...options, tail: options.tail ?? null, json: options.json === true })),
    );
  program
    .command('artifact')
    .description('a whole log or large text by its name, which show and transcripts contain')
    .argument('<name>', 'log/… or text/…')
    .action(async (name: string) => done(await artifactCommand(current(), name)));
  program
    .command('pull')
    .description("fetch a task's work as a branch of your repository; your checkout does not change")
    .argument('<id>', idHelp)
    .option('--branch <name>', "the branch to make (default: the task's own name for it)")
    .option('--into <path>', "a repository (default: the run's)")
    .addOption(json())
    .action(async (id: string, options: { branch?: string; into?: string; json?: boolean }) =>
      done(await pullCommand(current(), id, { ...options, json: options.json === true })),
    );
}

function addTaskCommands(program: Command, current: Current, done: Done): void {
  type Options = { json?: boolean; reason?: string; keepBranch?: boolean };
  const reason = () => new Option('--reason <text>', 'the reason; stored with the task');
  const command = (name: string, description: string) =>
    program.command(name).description(description).argument('<id>', idHelp).addOption(json());
  const withJson = (options: Options) => ({ ...options, json: options.json === true });
  command('approve', 'let a change land that waits for approval').action(async (id: string, options: Options) =>
    done(await actCommand(current(), 'approve', id, withJson(options))),
  );
  command('reject', 'refuse a change that waits for approval')
    .addOption(reason())
    .action(async (id: string, options: Options) => done(await actCommand(current(), 'reject', id, withJson(options))));
  command('merge', 'land a task that is ready (merge: manual)').action(async (id: string, options: Options) =>
    done(await actCommand(current(), 'merge', id, withJson(options))),
  );
  command('discard', 'give up a task that is ready or waits for approval')
    .option('--keep-branch', "leave the task's branch", false)
    .addOption(reason())
    .action(async (id: string, options: Options) =>
      done(await actCommand(current(), 'discard', id, withJson(options))),
    );
  command('cancel', 'stop a task, or every task of a run; work done so far is kept')
    .addOption(reason())
    .action(async (id: string, options: Options) => done(await cancelCommand(current(), id, withJson(options))));
}

/**
 * Collects the values of a repeated option. A variadic option isn't used, since it would also consume the arguments
 * that follow it.
 */
const gathered = (name: string, before: string[] = []): string[] => [...before, name];

function tenant(text: string): string {
  const parsed = tenantSchema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError('A tenant has lower-case letters, digits and dashes.');
}

const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

function positive(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('A number above 0.');
}

const listMax = 500;
const tailMax = 1_000_000;
const everyMax = 1_000_000;
const countFrom =
  (least: number, most: number) =>
  (text: string): number => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`A number from ${least} to ${most}.`);
  };
const countTo = (most: number) => countFrom(1, most);
