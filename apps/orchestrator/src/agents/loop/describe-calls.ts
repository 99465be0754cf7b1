/** Short descriptions of tool calls, for people and for the model's own memory. Pure. */
import { toolLimits } from '@coppice/contracts';
import type { ToolCall, TurnOutput } from '@coppice/contracts';
import { agentLimits } from './limits.ts';

/** Number of characters of a call's arguments in which a description is searched, since some models write long arguments. */
const searchedCharactersMax = 4_000;
const nameCharactersMax = 64;

const line = (text: string, charactersMax: number): string => {
  const flat = text.replaceAll(/\s+/g, ' ').trim();
  return flat.length <= charactersMax ? flat : `${flat.slice(0, charactersMax - 1).toWellFormed()}…`;
};

/** The command, path, pattern or summary that a call names; empty if it names none. */
function aboutCall(
  { arguments: given }: ToolCall,
  charactersMax: number = agentLimits.eventAboutCharactersMax,
): string {
  if ('artifact' in given) return 'long arguments';
  const start = given.text.slice(0, searchedCharactersMax);
  const found = /"(?:command|path|pattern|summary)"\s*:\s*"((?:[^"\\]|\\.)*)/s.exec(start);
  if (found === null) return '';
  try {
    return line(String(JSON.parse(`"${found[1]}"`)), charactersMax);
  } catch {
    // The text is cut inside an escape sequence, or is not JSON.
    return line(found[1] ?? '', charactersMax);
  }
}

export const describeCall = (call: ToolCall): string => {
  const name = line(call.name, nameCharactersMax);
  return line(`${name} ${aboutCall(call)}`, agentLimits.stepCharactersMax);
};

/** One line of the list of last calls, which the agent remembers. */
export const stepOf = (call: ToolCall, failed: boolean): string =>
  `${describeCall(call)} → ${failed ? 'failed' : 'ok'}`;

/** Describes a turn for its event, with bounded length. */
export const describeTurn = ({ turnId, text, toolCalls, cached }: TurnOutput) => ({
  turnId,
  text: 'artifact' in text ? '' : line(text.text, agentLimits.eventTextCharactersMax),
  calls: toolCalls
    .slice(0, toolLimits.callsPerTurnMax)
    .map((call) => ({ name: line(call.name, nameCharactersMax), about: aboutCall(call) })),
  ...(cached === true ? { cached } : {}),
});
