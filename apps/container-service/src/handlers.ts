/** Command handlers for the sandbox operations in contracts, carried out by an engine. */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { handle, type Bus, type CommandContext, type CommandHandler } from '@coppice/bus';
import {
  CoppiceError,
  sandboxOperations,
  type CommandResult,
  type Owner,
  type SandboxSpecification,
} from '@coppice/contracts';
import type { Logger } from '@coppice/telemetry';
import { bytesOf, storeLog } from './artifacts.ts';
import type { Engine, ExecOptions, ExecResult, Mount, SandboxSpec } from './engine/port.ts';
import { reasonOf } from './engine/reason.ts';
import { refuse, workspaceTarget } from './engine/specification.ts';
import { liveLog } from './live-log.ts';
import { toolsHandler } from './tools/handler.ts';

export interface HandlerContext {
  bus: Bus;
  engine: Engine;
  node: string;
  stackId: string;
  log: Logger;
  /** The configured path of the data folder, and its real path. Mount sources may use either. */
  dataFolder: { configured: string; real: string };
  /** Folder for the full output of commands until it is stored as an artifact. */
  logsFolder: string;
}

/**
 * Number of bytes kept from the beginning of each stream. The same number is kept from its end. The sum is the
 * contract's limit for a stream.
 */
const keepBytes = 16 * 1024;

type Input<Name extends keyof typeof sandboxOperations> = (typeof sandboxOperations)[Name]['input']['_zod']['output'];

export function commandHandlers(context: HandlerContext): CommandHandler[] {
  const { engine, node, log } = context;
  return [
    handle(sandboxOperations.create, async (specification) => {
      const spec = specOf(context, specification);
      const { owner, sandboxId } = specification;
      const image = await engine.ensureImage(spec.image, (line) => log.info({ sandboxId, ...owner }, line));
      await engine.create(spec);
      log.info({ sandboxId, ...owner, image: image.origin }, 'sandbox created');
      return { sandboxId, engine: engine.name, node };
    }),
    handle(sandboxOperations.write, async ({ sandboxId, path, content }, { effectId }) => {
      const bytes = await bytesOf(context.bus, content);
      await engine.writeFile(sandboxId, path, bytes, { effectId });
      return { bytes: bytes.length };
    }),
    handle(
      sandboxOperations.exec,
      ({ owner, sandboxId, command }, { effectId, signal, confirmClaim }) =>
        withLog(context, { owner, sandboxId, command, effectId, signal, confirmClaim }, (options) =>
          engine.exec(sandboxId, command.shell, options),
        ),
      // Ends the command that a lost process started, since nothing uses its result.
      ({ sandboxId }, { effectId }) => endLost(sandboxId, engine.stop(sandboxId, effectId)),
    ),
    handle(
      sandboxOperations.run,
      ({ specification, command }, { effectId, signal, confirmClaim }) => {
        const { owner, sandboxId } = specification;
        return withLog(context, { owner, sandboxId, command, effectId, signal, confirmClaim }, (options) =>
          engine.run(specOf(context, specification), command.shell, options),
        );
      },
      // Removes the whole sandbox, since it is created again before its next use.
      ({ specification: { sandboxId } }) => endLost(sandboxId, engine.remove(sandboxId)),
    ),
    toolsHandler(context),
    handle(sandboxOperations.remove, async ({ sandboxId }) => {
      await engine.remove(sandboxId);
      return {};
    }),
  ];
}

/**
 * Ends the command that a lost process started. If this fails, the command may still run, so the bus delivers the
 * operation again later.
 */
async function endLost(sandboxId: string, ending: Promise<void>): Promise<null> {
  try {
    await ending;
    return null;
  } catch (error) {
    const message = `what a lost process ran in sandbox ${sandboxId} can't be ended: ${reasonOf(error)}`;
    throw new CoppiceError('unknown', message, { cause: error });
  }
}

function specOf({ stackId, dataFolder }: HandlerContext, specification: SandboxSpecification): SandboxSpec {
  const { owner, sandboxId, image, network, limits, environment } = specification;
  const mounts = specification.mounts.map((mount) => ({ ...mount, source: realSource(mount, dataFolder) }));
  const workspace = mounts.find((mount) => mount.target === workspaceTarget);
  if (workspace === undefined) refuse(`mounts: none of them is ${workspaceTarget}`);
  return {
    id: sandboxId,
    image,
    labels: { stackId, tenant: owner.tenant, runId: owner.runId, taskId: owner.taskId },
    workspace: { source: workspace.source, readOnly: workspace.readOnly },
    mounts: mounts.filter((mount) => mount !== workspace),
    env: environment,
    limits,
    network,
  };
}

/**
 * Replaces the configured path of the data folder with its real path. The configured path may contain symbolic links,
 * and the engine rejects links in mount sources.
 */
function realSource({ source }: Mount, { configured, real }: HandlerContext['dataFolder']): string {
  return source.startsWith(`${configured}/`) ? real + source.slice(configured.length) : source;
}

interface Work {
  owner: Owner;
  sandboxId: string;
  command: Input<'exec'>['command'];
  effectId: string;
  signal: CommandContext['signal'];
  confirmClaim: CommandContext['confirmClaim'];
}

async function withLog(
  context: HandlerContext,
  work: Work,
  run: (options: ExecOptions) => Promise<ExecResult>,
): Promise<CommandResult> {
  const { bus, log, logsFolder } = context;
  const { owner, sandboxId, command, effectId, signal, confirmClaim } = work;
  await mkdir(logsFolder, { recursive: true, mode: 0o700 });
  const logFile = join(logsFolder, randomUUID());
  try {
    const { standardInput } = command;
    const stdin = standardInput === undefined ? {} : { stdin: await bytesOf(bus, standardInput) };
    // Checks the claim before `run`, since engine.run first removes the sandbox. `beforeStart` checks it again right
    // before the command starts.
    await confirmClaim();
    const result = await run({
      execId: effectId,
      timeoutMs: command.timeLimitMs,
      signal,
      beforeStart: confirmClaim,
      keepBytes,
      logFile,
      onOutput: liveLog(bus, owner, sandboxId, (error) =>
        log.warn({ err: error, sandboxId }, 'live output is not published'),
      ),
      ...stdin,
    });
    if (result.cancelled) throw new CoppiceError('cancelled', 'the command was cancelled');
    const isWhole = !result.stdout.truncated && !result.stderr.truncated;
    const logArtifact = isWhole ? null : await storeLog(bus, owner, effectId, await readFile(logFile));
    return commandResultOf(result, logArtifact);
  } finally {
    await rm(logFile, { force: true }).catch((error: unknown) =>
      log.warn({ err: error, sandboxId }, 'a stored log can not be deleted'),
    );
  }
}

function commandResultOf(result: ExecResult, logArtifact: string | null): CommandResult {
  const { exitCode, signal, timedOut, oomKilled, diskExceeded, stdout, stderr, durationMs } = result;
  const disk = diskExceeded ? '\ncoppice: the command failed, since it wrote more than its disk limit allows\n' : '';
  // A command may exit with 0 before the exceeded disk limit is detected. It also counts as failed, so that no later
  // step uses its files.
  const seenExitCode = diskExceeded && exitCode === 0 ? 1 : exitCode;
  return {
    exitCode: signal === null ? seenExitCode : null,
    signal,
    timedOut,
    outOfMemory: oomKilled,
    standardOutput: stdout.text,
    standardError: stderr.text + disk,
    logArtifact,
    durationMs,
  };
}
