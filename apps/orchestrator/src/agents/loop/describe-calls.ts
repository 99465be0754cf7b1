/** Short descriptions of tool calls, for people and for the model. */
import { toolLimits } from '@coppice/contracts';
import type { ToolCall, TurnOutput } from '@coppice/contracts';
import { agentLimits } from './limits.ts';

/** Number of characters of a call's arguments that are searched for a description. Some models write long arguments. */
const searchedCharactersMax = 4_000;
const nameCharactersMax = 64;

const line = (text: string, charactersMax: number): string => {
  const flat = text.replaceAll(/\s+/g, ' ').trim();
  return flat.length <= charactersMax ? flat : `${flat.slice(0, charactersMax - 1).toWellFormed()}…`;
};

/** Returns the command, path, pattern or summary in a call's arguments, or an empty text. */
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
    // The text isn't JSON, or it is cut inside an escape sequence.
    return line(found[1] ?? '', charactersMax);
  }
}

export const describeCall = (call: ToolCall): string => {
  const name = line(call.name, nameCharactersMax);
  return line(`${name} ${aboutCall(call)}`, agentLimits.stepCharactersMax);
};

/** One line in the agent's list of its last calls. */
export const stepOf = (call: ToolCall, failed: boolean): string =>
  `${describeCall(call)} → ${failed ? 'failed' : 'ok'}`;

/** Describes a turn for its event. The length is limited. */
export const describeTurn = ({ turnId, text, toolCalls, cached }: TurnOutput) => ({
  turnId,
  text: 'artifact' in text ? '' : line(text.text, agentLimits.eventTextCharactersMax),
  calls: toolCalls
    .slice(0, toolLimits.callsPerTurnMax)
    .map((call) => ({ name: line(call.name, nameCharactersMax), about: aboutCall(call) })),
  ...(cached === true ? { cached } : {}),
});
