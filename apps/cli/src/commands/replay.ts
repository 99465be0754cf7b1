import { isDeepStrictEqual } from 'node:util';
import { agentSchema, api, isTaskEnd } from '@coppice/contracts';
import type { Difference, RecordedTurn, Replay } from '@coppice/orchestrator';
import type { ApiClient } from '../api-client.ts';
import { ask } from '../ask.ts';
import { CliError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { resolveTask } from '../ids.ts';
import { jsonLine, plainLine } from '../output/text.ts';
import { Texts, turnsOf } from '../transcript.ts';
import { withClient } from './session.ts';
import type { CommandResult, Session } from './session.ts';

const shownCharactersMax = 600;

/**
 * `coppice replay ID`: runs an agent again with the recorded answers, without a model or sandbox. Reports whether the
 * agent makes the same decisions as before. Changes nothing.
 */
export function replayCommand(session: Session, id: string, options: { json: boolean }): CommandResult {
  const { terminal } = session;
  return withClient(session, async (client) => {
    const { taskId } = await resolveTask(client, id);
    const { agent, state, name } = await ask(client, api.taskGet, { taskId });
    const known = agentSchema.safeParse(agent);
    if (known.data?.kind !== 'loop')
      throw new CliError(exitCodes.badInput, `${name} has no loop agent: there are no decisions to run again`);
    const recorded = await recordOf(client, taskId);
    if (recorded.length === 0) throw new CliError(exitCodes.badInput, `${name}: no turn of its agent is recorded`);
    if (!isTaskEnd(state)) terminal.err(`${name} is still at work: replaying the ${recorded.length} turns so far`);
    const { replay } = await import('@coppice/orchestrator');
    const result = replay(known.data, recorded);
    if (options.json) terminal.out(jsonLine(result));
    else for (const line of replayLines(result)) terminal.out(line);
    return result.difference === null ? exitCodes.done : exitCodes.taskFailed;
  });
}

async function recordOf(client: ApiClient, taskId: string): Promise<RecordedTurn[]> {
  const texts = new Texts(client);
  const recorded: RecordedTurn[] = [];
  for await (const { entry } of turnsOf(client, taskId)) {
    const { continues, output } = entry;
    const messages = await texts.messagesOf(entry);
    if (messages === null)
      throw new CliError(
        exitCodes.badInput,
        `the request of turn ${recorded.length + 1} is no longer in the object store`,
      );
    recorded.push({ turnId: output.turnId, continues, messages, output });
  }
  return recorded;
}

export function replayLines({ turns, difference, end }: Replay): string[] {
  const counted = `${turns} ${turns === 1 ? 'turn' : 'turns'}`;
  if (difference === null) return [`same: ${counted} replayed, each alike; then ${endText(end)}`];
  const { expected, recorded } = firstPart(difference);
  return [
    `different at turn ${difference.turn} (${difference.what}); ${counted} before it alike`,
    `  now:      ${shown(expected)}`,
    `  recorded: ${shown(recorded)}`,
  ];
}

function endText(end: Replay['end']): string {
  switch (end.do) {
    case 'finish':
      return plainLine(`the agent finishes: ${end.summary}`);
    case 'stop':
      return plainLine(`the agent stops: ${end.reason}`);
    case 'call':
      return end.finish === null
        ? `its sandbox gets ${end.calls.length} calls`
        : plainLine(`the agent finishes, if no call fails: ${end.finish.summary}`);
    default:
      return 'the model gets the next request';
  }
}

/** If both sides are lists of messages, returns the first pair that differs. */
function firstPart({ expected, recorded }: Difference): { expected: unknown; recorded: unknown } {
  if (!Array.isArray(expected) || !Array.isArray(recorded)) return { expected, recorded };
  const [ours, theirs] = [expected as unknown[], recorded as unknown[]];
  const index = Array.from({ length: Math.max(ours.length, theirs.length) }).findIndex(
    (_, at) => !isDeepStrictEqual(ours[at], theirs[at]),
  );
  return index === -1 ? { expected, recorded } : { expected: ours[index], recorded: theirs[index] };
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = typeof value === 'string' ? plainLine(value) : jsonLine(value);
  return text.length <= shownCharactersMax ? text : `${text.slice(0, shownCharactersMax).toWellFormed()}…`;
}
