/**
 * The handler of the `tools` operation. It runs the tool calls of one turn and returns a result for each.
 *
 * Collaborators: the engine (runs the tools' commands in the task's sandbox), the bus (carries live output, stores
 * texts that are too long for a message).
 *
 * Invariants:
 * 1. A call that can't be carried out (bad arguments, missing file, failed command) gives an error result for the
 *    model. The operation doesn't fail.
 * 2. Calls that may change something run one at a time, in the model's order, since the model may write a file and run
 *    the test in one turn. Read-only calls between two such calls run in parallel, at most `looksAtOnceMax` at a time.
 * 3. The operation fails only if it is cancelled, if the sandbox doesn't exist, or if the engine fails before any
 *    command has run. In the last case a retry is harmless.
 * 4. If a call is too large, it is rejected, and the calls after it are skipped, since they may depend on it.
 * 5. Commands of a lost process are ended before the operation's outcome is reported as unknown.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { handle, type Bus, type CommandContext, type CommandHandler } from '@coppice/bus';
import {
  CoppiceError,
  sandboxOperations,
  toolLimits,
  type Owner,
  type ToolCall,
  type ToolResult,
} from '@coppice/contracts';
import type { Logger } from '@coppice/telemetry';
import { bytesOf, storeLog, storeText } from '../artifacts.ts';
import type { Engine } from '../engine/port.ts';
import { liveLog } from '../live-log.ts';
import { readCall, type ReadCall } from './arguments.ts';
import { edit, read, write } from './files.ts';
import { list, search } from './folders.ts';
import { run } from './run.ts';
import { problem, tooLarge, type Answer, type Sandbox } from './tool.ts';

export type ToolsContext = { bus: Bus; engine: Engine; log: Logger; logsFolder: string };

/** Maximum number of read-only calls that run in parallel. The engine accepts eight concurrent commands in a sandbox. */
const looksAtOnceMax = 4;
/** Milliseconds of the operation's time limit that are reserved for sending the results. */
const reservedMs = 60_000;
const changing: readonly string[] = ['run', 'write', 'edit'];

type Input = (typeof sandboxOperations.tools)['input']['_zod']['output'];
/** A result whose text isn't yet sent inline or stored as an artifact. */
type Done = Omit<ToolResult, 'content'> & { text: string };

export const toolsHandler = (context: ToolsContext): CommandHandler =>
  handle(
    sandboxOperations.tools,
    async (input, command) => {
      const done = await new Turn(context, input, command).run();
      return { results: await byReference(context.bus, input.owner, done) };
    },
    async ({ sandboxId }) => {
      await context.engine.stop(sandboxId);
      return null;
    },
  );

class Turn {
  readonly #with: ToolsContext;
  readonly #input: Input;
  readonly #command: CommandContext;
  readonly #sandbox: Sandbox;
  readonly #endsAtMs = performance.now() + sandboxOperations.tools.timeLimitMs - reservedMs;
  #begun = 0;

  constructor(context: ToolsContext, input: Input, command: CommandContext) {
    this.#with = context;
    this.#input = input;
    this.#command = command;
    const { signal } = command;
    this.#sandbox = {
      resultCharactersMax: input.resultCharactersMax,
      exec: async (argv, options) => {
        // Checks the claim before each command. If this process was suspended, the claim may have expired, and another
        // process may be using the sandbox.
        const beforeStart = command.confirmClaim;
        const result = await context.engine.exec(input.sandboxId, argv, { ...options, signal, beforeStart });
        if (result.cancelled) throw new CoppiceError('cancelled', 'the tool calls were cancelled');
        this.#begun++;
        return result;
      },
    };
  }

  async run(): Promise<Done[]> {
    const done: Done[] = [];
    let refused: ToolCall | undefined;
    for (const batch of batches(this.#input.calls)) {
      const prepared = await Promise.all(batch.map(async (call) => ({ call, readable: await this.#read(call) })));
      const last = prepared.findIndex(({ readable }) => 'tooLarge' in readable);
      const wanted = refused !== undefined ? [] : last === -1 ? prepared : prepared.slice(0, last + 1);
      const answers = await Promise.all(wanted.map(({ call, readable }) => this.#do(call, readable)));
      done.push(...answers.map((answer) => answer.done));
      refused ??= wanted[answers.findIndex((answer) => answer.refused)]?.call;
      for (const { call } of prepared.slice(wanted.length)) done.push(notDone(call, refused?.name ?? call.name));
    }
    return done;
  }

  async #do(call: ToolCall, readable: ReadCall | Answer): Promise<{ done: Done; refused: boolean }> {
    const startedAt = performance.now();
    const { log, ...rest }: Answer & { log?: string | null } =
      'content' in readable ? readable : await this.#answer(readable);
    const done = {
      callId: call.id,
      name: call.name,
      text: rest.content,
      isError: rest.isError,
      logArtifact: log ?? null,
      durationMs: Math.round(performance.now() - startedAt),
    };
    return { done, refused: rest.tooLarge === true };
  }

  /** Returns the call with validated arguments, or the answer that rejects the call. */
  async #read(call: ToolCall): Promise<ReadCall | Answer> {
    try {
      const bytes = await bytesOf(this.#with.bus, call.arguments, toolLimits.argumentsBytesMax);
      return readCall(call.name, Buffer.from(bytes).toString('utf8'));
    } catch (error) {
      if (!(error instanceof CoppiceError)) throw error;
      return error.code === 'limit-exceeded' ? tooLarge(`not done: ${error.message}`) : problem(error.message);
    }
  }

  async #answer(readable: ReadCall): Promise<Answer & { log?: string | null }> {
    const leftMs = this.#endsAtMs - performance.now();
    if (leftMs < 1_000) return problem('not done: the calls before it took too long');
    const begunBefore = this.#begun;
    try {
      return await this.#perform(readable, leftMs);
    } catch (error) {
      if (!(error instanceof CoppiceError)) throw error;
      const nothingDone = begunBefore === 0 && error.code !== 'sandbox-failed' && error.code !== 'sandbox-refused';
      if (nothingDone || this.#command.signal.aborted || error.code === 'sandbox-not-found') throw error;
      const { name } = readable;
      this.#with.log.warn({ err: error, ...this.#input.owner, tool: name }, 'a tool call failed in the engine');
      const lost = error.code === 'sandbox-failed' ? '; it may have had effects' : '';
      return problem(`${name} could not be done: ${error.message}${lost}`);
    }
  }

  #perform(call: ReadCall, timeLimitMs: number): Promise<Answer & { log?: string | null }> {
    switch (call.name) {
      case 'run':
        return this.#run(call.input, Math.floor(timeLimitMs));
      case 'read':
        return read(this.#sandbox, call.input);
      case 'write':
        return write(this.#sandbox, call.input);
      case 'edit':
        return edit(this.#sandbox, call.input);
      case 'list':
        return list(this.#sandbox, call.input);
      default:
        return search(this.#sandbox, call.input);
    }
  }

  /** Stores the whole output as an artifact if the model gets only a part of it. */
  async #run(input: Parameters<typeof run>[1], timeLimitMs: number): Promise<Answer & { log: string | null }> {
    const { bus, log, logsFolder } = this.#with;
    const { owner, sandboxId } = this.#input;
    await mkdir(logsFolder, { recursive: true, mode: 0o700 });
    const logFile = join(logsFolder, randomUUID());
    try {
      const onOutput = liveLog(bus, owner, sandboxId, (error) =>
        log.warn({ err: error, sandboxId }, 'live output is not published'),
      );
      const { whole, ...answer } = await run(this.#sandbox, input, { logFile, onOutput, timeLimitMs });
      const stored = whole ? null : await storeLog(bus, owner, this.#command.effectId, await readFile(logFile));
      return { ...answer, log: stored };
    } finally {
      await rm(logFile, { force: true });
    }
  }
}

const notDone = (call: ToolCall, refused: string): Done => ({
  callId: call.id,
  name: call.name,
  text: `not done: ${refused}, called before it in this turn, was refused`,
  isError: true,
  logArtifact: null,
  durationMs: 0,
});

/** Groups calls into batches that run in parallel (invariant 2). */
function batches(calls: readonly ToolCall[]): ToolCall[][] {
  const all: ToolCall[][] = [];
  let looks: ToolCall[] = [];
  for (const call of calls) {
    if (changing.includes(call.name)) {
      all.push(looks, [call]);
      looks = [];
    } else if (looks.push(call) === looksAtOnceMax) {
      all.push(looks);
      looks = [];
    }
  }
  return [...all, looks].filter((batch) => batch.length > 0);
}

/** Keeps up to `inlineBytesMax` bytes of JSON inline per turn. Stores the other texts as artifacts. */
async function byReference(bus: Bus, owner: Owner, done: readonly Done[]): Promise<ToolResult[]> {
  let room: number = toolLimits.inlineBytesMax;
  const results: ToolResult[] = [];
  for (const { text, ...rest } of done) {
    const bytes = Buffer.byteLength(JSON.stringify(text));
    const fits = bytes <= room;
    if (fits) room -= bytes;
    results.push({ ...rest, content: fits ? { text } : { artifact: await storeText(bus, owner, text) } });
  }
  return results;
}
