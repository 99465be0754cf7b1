import { api } from '@coppice/contracts';
import type { RunRequest } from '@coppice/contracts';
import type { StackClient } from '../api-client.ts';
import { ask, followWaitMsMax } from '../ask.ts';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { tryGit } from '../git.ts';
import { jsonLine, plainLine, unprotectedText } from '../output/text.ts';
import type { LoadedRun } from '../run-file/complete.ts';
import { loadPrompt } from '../run-file/from-prompt.ts';
import type { PromptOptions } from '../run-file/from-prompt.ts';
import { loadRunFile } from '../run-file/load.ts';
import { requireBranch } from '../run-file/known-branch.ts';
import { remoteFrom } from '../stack/connect.ts';
import { homeFrom } from '../stack/home.ts';
import { setupResult } from '../stack/programs.ts';
import type { EngineChoice } from '../stack/services.ts';
import { runningStack } from '../stack/status.ts';
import { startedStack, withEmbedded, withRemote } from './session.ts';
import type { CommandResult, Session } from './session.ts';
import { watchToTheEnd } from './watching.ts';

export type RunOptions = { requestId?: string; detach: boolean; json: boolean; engine: EngineChoice };
export type RunSource = { kind: 'file'; file: string } | ({ kind: 'prompt' } & PromptOptions);

export const engineNoneMeans =
  'engine none: commands of agents and of the run file run on this machine as they are. Nothing keeps them from your files, your network or your keys.';

/** `coppice run FILE.yaml`, `coppice run --prompt TEXT`. */
export async function runCommand(session: Session, source: RunSource, options: RunOptions): CommandResult {
  const remote = remoteFrom(session.environment);
  // An error in the run is reported before a stack is started.
  const { request, explain } = await load(session, source, {
    requestId: options.requestId,
    elsewhere: remote !== null,
  });
  const submitAndWatch = async (client: StackClient) => {
    // A retry creates no second run, since the request id stays the same.
    const submitted = await ask(client, api.runSubmit, request, { waitMsMax: followWaitMsMax }).catch(
      (error: unknown) => {
        throw explain(error);
      },
    );
    if (!submitted.created && options.requestId !== undefined)
      session.terminal.err(`run ${submitted.runId} was submitted before with this request id; joining it`);
    // A task needs approval to change a protected file. But it can change the following parts of the verify command
    // without approval, since no protected file defines them.
    for (const part of submitted.unprotected ?? [])
      session.terminal.err(session.terminal.colours.yellow(plainLine(`not protected: ${unprotectedText(part)}`)));
    if (options.detach) return printSubmitted(session, submitted.runId, request, options.json);
    return watchToTheEnd(session, client, { runId: submitted.runId, json: options.json });
  };
  if (remote !== null) {
    if (options.engine !== 'auto') {
      throw new CliError(
        exitCodes.badInput,
        '--engine is for the embedded stack; NATS_URL names another, which has chosen its own',
      );
    }
    return withRemote(session, remote, submitAndWatch, { waitMsMax: followWaitMsMax });
  }
  if (runningStack(homeFrom(session.environment)) === null)
    await requireBranch(request.repository, request.baseBranch).catch((error: unknown) => {
      throw explain(error);
    });
  const home = await stackFor(session, options.engine);
  return withEmbedded(session, home, submitAndWatch, { waitMsMax: followWaitMsMax });
}

async function load(
  session: Session,
  source: RunSource,
  options: Parameters<typeof loadRunFile>[1],
): Promise<LoadedRun> {
  if (source.kind === 'file') return loadRunFile(source.file, options);
  const loaded = await loadPrompt(source, process.cwd(), options);
  const { repository } = loaded.request;
  const changes = await tryGit(repository, 'status', '--porcelain', '--untracked-files=no');
  if (changes.exitCode === 0 && changes.out !== '')
    session.terminal.err('Your uncommitted changes are not part of what the agent sees.');
  return loaded;
}

/** @throws CliError if agents would run without a sandbox although the user didn't choose engine none */
async function stackFor(session: Session, engine: EngineChoice) {
  const { terminal } = session;
  if (engine === 'none') terminal.err(terminal.colours.yellow(`WARNING: ${engineNoneMeans}`));
  const starting = startedStack(session, engine, (line) => terminal.err(terminal.colours.dim(line)));
  const { home, status, started } = await unlessInterrupted(session.interrupted, starting);
  if (started) terminal.err(terminal.colours.dim('the stack goes on in the background; "coppice down" ends it'));
  if (status.engine === 'none' && engine !== 'none') {
    const tried = setupResult()?.tried?.join('; ') ?? '';
    throw new CliError(
      exitCodes.badInput,
      `the stack that runs has engine none, which isolates nothing${tried === '' ? '' : ` (${tried})`}. ${engineNoneMeans} If that is what you want: coppice run --engine none`,
    );
  }
  return home;
}

/**
 * Waits until the stack has started. Ctrl-C ends only the wait. The stack continues to start, since it is a separate
 * process.
 * @throws CliError on Ctrl-C
 */
async function unlessInterrupted<T>(interrupted: AbortSignal, starting: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () =>
    reject(
      new CliError(
        exitCodes.detached,
        'interrupted before the run was submitted: no task was started. The stack goes on in the background; "coppice down" ends it',
      ),
    );
  interrupted.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([starting, promise]);
  } finally {
    interrupted.removeEventListener('abort', onAbort);
  }
}

function printSubmitted({ terminal }: Session, runId: string, request: RunRequest, json: boolean) {
  if (json) terminal.out(jsonLine({ runId, requestId: request.requestId }));
  else terminal.out(`run ${runId} is submitted. To see it: coppice watch ${runId}`);
  return exitCodes.done;
}
