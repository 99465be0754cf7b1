/** Calls in a few words, for people and for the model's own memory. Pure. */
import { toolLimits } from '@coppice/contracts';
import type { ToolCall, TurnOutput } from '@coppice/contracts';
import { agentLimits } from './limits.ts';

/** Characters of the arguments in which what is told is looked for: some models write long ones. */
const searchedCharactersMax = 4_000;
const nameCharactersMax = 64;

const line = (text: string, charactersMax: number): string => {
  const flat = text.replaceAll(/\s+/g, ' ').trim();
  return flat.length <= charactersMax ? flat : `${flat.slice(0, charactersMax - 1).toWellFormed()}…`;
};

/** The command, path or pattern that a call names; empty where it names none. */
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
    // Cut in the middle of an escape, or not JSON at all.
    return line(found[1] ?? '', charactersMax);
  }
}

export const describeCall = (call: ToolCall): string => {
  const name = line(call.name, nameCharactersMax);
  return line(`${name} ${aboutCall(call)}`, agentLimits.stepCharactersMax);
};

/** A line of what the agent remembers. */
export const stepOf = (call: ToolCall, failed: boolean): string =>
  `${describeCall(call)} → ${failed ? 'failed' : 'ok'}`;

/** For the event of a turn: bounded, whatever the model says. */
export const describeTurn = ({ turnId, text, toolCalls, cached }: TurnOutput) => ({
  turnId,
  text: 'artifact' in text ? '' : line(text.text, agentLimits.eventTextCharactersMax),
  calls: toolCalls
    .slice(0, toolLimits.callsPerTurnMax)
    .map((call) => ({ name: line(call.name, nameCharactersMax), about: aboutCall(call) })),
  ...(cached === true ? { cached } : {}),
});
