import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';
import type { Clock } from '@coppice/service';
import type { ModelDelta, ModelRequest, Provider, ProviderMessage, RequestContext, UsageSoFar } from '../port.ts';
import type { Count } from './count.ts';
import { cueFor, parseScript } from './script.ts';
import type { Fault, ScriptedTurn } from './script.ts';
import { findScript, readBeside, readScriptText } from './script-files.ts';
import type { ScriptFile, ScriptFolders } from './script-files.ts';

/** Pieces of an answer are at most this long. */
const pieceCharactersMax = 4_096;
/** A rule of thumb, for scripts that name no usage. */
const charactersPerToken = 4;

/**
 * A deterministic model that plays a script (`scripted/<script file>`), with latency and faults, and counts what it was asked. For demos,
 * tests and benchmarks: it costs nothing and says the same each time.
 */
export function scriptedProvider(settings: { scripts: ScriptFolders; count: Count; clock: Clock }): Provider {
  const { scripts, count, clock } = settings;
  return {
    name: 'scripted',
    async *stream(request: ModelRequest, context: RequestContext): AsyncIterable<ModelDelta> {
      const file = await findScript(request.model, scripts);
      const script = parseScript(await readScriptText(file), request.model);
      const cue = cueFor(
        script,
        promptOf(request.messages),
        request.messages.filter(({ role }) => role === 'assistant').length,
      );
      const line = {
        effectId: context.effectId,
        runId: context.owner.runId,
        taskId: context.owner.taskId,
        script: path.basename(file.path),
        rule: cue.rule,
        position: cue.position,
      };
      await count.add({ event: 'asked', ...line, time: clock.now().toISOString() });
      const fault = await presentFault(cue.turn, count, line);
      await pause(cue.turn.latencyMs, context.signal);
      if (fault !== null) await act(fault, context.signal);

      const text = await textOf(cue.turn, file);
      yield { type: 'response-start', responseModel: request.model };
      const spoken = fault?.kind === 'cut' ? text.slice(0, Math.ceil(text.length / 2)) : text;
      for (let at = 0; at < spoken.length; at += pieceCharactersMax) {
        yield { type: 'text-delta', text: spoken.slice(at, at + pieceCharactersMax) };
      }
      yield { type: 'usage', usage: usageOf(cue.turn, request.messages, spoken) };
      if (fault?.kind === 'cut') return;
      await count.add({ event: 'answered', ...line, time: clock.now().toISOString() });
      yield { type: 'response-end', finishReason: cue.turn.finishReason };
    },
  };
}

/** The fault that is due: a fault of `times: n` is over when the same turn of the same task was asked for n times before. */
async function presentFault(
  turn: ScriptedTurn,
  count: Count,
  line: { taskId: string; script: string; rule: string; position: number },
): Promise<Fault | null> {
  if (turn.fault === undefined) return null;
  if (turn.fault.times === undefined) return turn.fault;
  const asks = (await count.read()).filter(
    (earlier) =>
      earlier.event === 'asked' &&
      earlier.taskId === line.taskId &&
      earlier.script === line.script &&
      earlier.rule === line.rule &&
      earlier.position === line.position,
  ).length;
  // The present one is among them.
  return asks <= turn.fault.times ? turn.fault : null;
}

/** @throws the signal's reason when it is aborted. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => signal.throwIfAborted());
}

async function act(fault: Fault, signal: AbortSignal): Promise<void> {
  if (fault.kind === 'error') throw new CoppiceError('provider-failed', fault.message, { retryable: fault.retryable });
  if (fault.kind === 'limited') {
    const details = fault.retryAfterMs === undefined ? {} : { details: { retryAfterMs: fault.retryAfterMs } };
    throw new CoppiceError('provider-limited', 'the scripted model asks to wait', details);
  }
  if (fault.kind === 'stall') {
    if (!signal.aborted) await once(signal, 'abort');
    throw signal.reason;
  }
}

async function textOf(turn: ScriptedTurn, file: ScriptFile): Promise<string> {
  return turn.textFile === undefined ? (turn.text ?? '') : readBeside(file, turn.textFile);
}

const promptOf = (messages: ProviderMessage[]): string =>
  messages
    .filter(({ role }) => role !== 'assistant')
    .map(textOfMessage)
    .join('\n');

const textOfMessage = (message: ProviderMessage): string => message.content.map((part) => part.text).join('');

function usageOf(turn: ScriptedTurn, messages: ProviderMessage[], spoken: string): UsageSoFar {
  const tokens = (text: string) => Math.ceil(text.length / charactersPerToken);
  return {
    inputTokens: turn.usage.inputTokens ?? tokens(messages.map(textOfMessage).join('')),
    outputTokens: turn.usage.outputTokens ?? tokens(spoken),
    costUsd: turn.usage.costUsd ?? 0,
  };
}
