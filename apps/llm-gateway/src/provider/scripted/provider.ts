import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';
import type { Clock } from '@coppice/service';
import { estimatedTokens } from '../../usage.ts';
import type {
  ModelDelta,
  ModelDeltas,
  ModelRequest,
  Provider,
  ProviderMessage,
  ProviderPart,
  RequestContext,
  UsageSoFar,
} from '../port.ts';
import type { Count } from './count.ts';
import { cueFor, parseScript } from './script.ts';
import type { Fault, ScriptedTurn } from './script.ts';
import { findScript, readBeside, readScriptText, whyWithoutScripts } from './script-files.ts';
import type { ScriptFile, ScriptFolders } from './script-files.ts';

const pieceCharactersMax = 4_096;

/**
 * A deterministic model that plays the script in its name (`scripted/<script file>`). It is for demos, tests and
 * benchmarks, since it costs nothing and always gives the same answers.
 */
export function scriptedProvider(settings: { scripts: ScriptFolders; count: Count; clock: Clock }): Provider {
  const { scripts, count, clock } = settings;
  const load = async (model: string) => {
    const file = await findScript(model, scripts);
    return { file, script: parseScript(await readScriptText(file), model) };
  };
  return {
    name: 'scripted',
    wire: null,
    describe: async () => ({
      host: null,
      keyPresent: false,
      reachable: null,
      models: [],
      problem: whyWithoutScripts(scripts),
      ...(scripts.anywhere ? {} : { scriptFolders: [...scripts.folders] }),
    }),
    check: async (model) => void (await load(model)),
    async *stream(request: ModelRequest, context: RequestContext): ModelDeltas {
      const { file, script } = await load(request.model);
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
      await count.add({ event: 'requested', ...line, time: clock.now().toISOString() });
      const fault = await presentFault(cue.turn, count, line);
      await pause(cue.turn.latencyMs, context.signal);
      if (fault !== null) await act(fault, context.signal);

      const text = await textOf(cue.turn, file);
      yield [{ type: 'response-start', responseModel: request.model }];
      const calls = callsOf(cue.turn);
      const cut = fault?.kind === 'cut';
      const spoken = cut && calls.length === 0 ? firstHalf(text) : text;
      yield [...inPieces(spoken, (piece) => ({ type: 'text-delta', text: piece }))];
      for (const [call, { name, id, arguments: whole }] of calls.entries()) {
        const written = cut ? firstHalf(whole) : whole;
        yield [
          { type: 'tool-call-delta', call, name, arguments: '', ...(id === undefined ? {} : { id }) },
          ...inPieces(written, (piece) => ({ type: 'tool-call-delta', call, arguments: piece })),
        ];
        if (cut) break;
      }
      const usage = usageOf(cue.turn, request.messages, [spoken, ...calls.map(argumentsOf)].join(''));
      yield [{ type: 'usage', usage }];
      if (fault?.kind === 'cut') return;
      await count.add({ event: 'answered', ...line, time: clock.now().toISOString() });
      yield [{ type: 'response-end', finishReason: cue.turn.finishReason }];
    },
  };
}

/** A fault with `times: n` ends after n requests for the same turn of the same task. */
async function presentFault(
  turn: ScriptedTurn,
  count: Count,
  line: { taskId: string; script: string; rule: string; position: number },
): Promise<Fault | null> {
  if (turn.fault === undefined) return null;
  if (turn.fault.times === undefined) return turn.fault;
  const requests = (await count.read()).filter(
    (earlier) =>
      earlier.event === 'requested' &&
      earlier.taskId === line.taskId &&
      earlier.script === line.script &&
      earlier.rule === line.rule &&
      earlier.position === line.position,
  ).length;
  // The count already includes the current request.
  return requests <= turn.fault.times ? turn.fault : null;
}

/** @throws the signal's reason. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => signal.throwIfAborted());
}

async function act(fault: Fault, signal: AbortSignal): Promise<void> {
  if (fault.kind === 'error') throw new CoppiceError('provider-failed', fault.message, { retryable: fault.retryable });
  if (fault.kind === 'limited') {
    const details = fault.retryAfterMs === undefined ? {} : { details: { retryAfterMs: fault.retryAfterMs } };
    throw new CoppiceError('provider-limited', 'the scripted model states a wait', details);
  }
  if (fault.kind === 'stall') {
    if (!signal.aborted) await once(signal, 'abort');
    throw signal.reason;
  }
}

async function textOf(turn: ScriptedTurn, file: ScriptFile): Promise<string> {
  return turn.textFile === undefined ? (turn.text ?? '') : readBeside(file, turn.textFile);
}

/** Returns a string unchanged, so that scripts can contain invalid JSON. Returns any other value as JSON. */
const argumentsOf = (call: { arguments?: unknown }): string =>
  typeof call.arguments === 'string' ? call.arguments : JSON.stringify(call.arguments ?? {});

const callsOf = (turn: ScriptedTurn) =>
  (turn.toolCalls ?? []).map((call) => ({ name: call.name, id: call.id, arguments: argumentsOf(call) }));

const firstHalf = (text: string): string => text.slice(0, Math.ceil(text.length / 2));

function* inPieces(text: string, toDelta: (piece: string) => ModelDelta): Iterable<ModelDelta> {
  for (let at = 0; at < text.length; at += pieceCharactersMax) yield toDelta(text.slice(at, at + pieceCharactersMax));
}

/** Returns the text of all messages before the first answer. */
function promptOf(messages: readonly ProviderMessage[]): string {
  const firstAnswer = messages.findIndex(({ role }) => role === 'assistant');
  return messages
    .slice(0, firstAnswer === -1 ? messages.length : firstAnswer)
    .map(textOfMessage)
    .join('\n');
}

const textOfMessage = (message: ProviderMessage): string => message.content.map(textOfPart).join('');

function textOfPart(part: ProviderPart): string {
  if (part.type === 'text' || part.type === 'thinking') return part.text;
  if (part.type === 'image') return '';
  return part.type === 'tool-call' ? part.arguments : part.content;
}

function usageOf(turn: ScriptedTurn, messages: readonly ProviderMessage[], spoken: string): UsageSoFar {
  const tokens = (text: string) => estimatedTokens(Buffer.byteLength(text));
  return {
    inputTokens: turn.usage.inputTokens ?? tokens(messages.map(textOfMessage).join('')),
    outputTokens: turn.usage.outputTokens ?? tokens(spoken),
    costUsd: turn.usage.costUsd ?? 0,
  };
}
