/** The agent's own tools, `todo` and `finish`, which don't run in the sandbox. */
import { parseJson, validate } from '@coppice/bus';
import { CoppiceError, agentToolSchemas, toolLimits } from '@coppice/contracts';
import type { AgentToolName, ToolCall } from '@coppice/contracts';
import type { z } from 'zod';
import { agentLimits } from './limits.ts';
import type { TodoItem } from './loop-state.ts';

/** Result of a call to one of the agent's own tools. `problem` is a text for the model. */
export type OwnCall =
  | { tool: 'todo'; items: TodoItem[] }
  | { tool: 'finish'; summary: string }
  | { tool: 'wrong'; problem: string; tooLarge: boolean };

const limits: Record<AgentToolName, string> = {
  todo: `the list may have ${agentLimits.todoBytesMax} bytes`,
  finish: `the summary may have ${toolLimits.summaryCharactersMax} characters`,
};

export const isOwnTool = (name: string): name is AgentToolName => Object.hasOwn(agentToolSchemas, name);

export function readOwnCall(name: AgentToolName, { arguments: reference }: ToolCall): OwnCall {
  if ('artifact' in reference)
    return { tool: 'wrong', problem: `the arguments of ${name} are too large: ${limits[name]}`, tooLarge: true };
  try {
    if (name === 'finish') return { tool: 'finish', summary: read('finish', reference.text).summary };
    const { items } = read('todo', reference.text);
    const bytes = Buffer.byteLength(JSON.stringify(items));
    if (bytes <= agentLimits.todoBytesMax) return { tool: 'todo', items };
    const problem = `the list has ${bytes} bytes, at most ${agentLimits.todoBytesMax} are kept`;
    return { tool: 'wrong', problem, tooLarge: true };
  } catch (error) {
    if (error instanceof CoppiceError) return { tool: 'wrong', problem: error.message, tooLarge: false };
    throw error;
  }
}

function read<Name extends AgentToolName>(name: Name, text: string): z.output<(typeof agentToolSchemas)[Name]> {
  const what = `the arguments of ${name}`;
  return validate<unknown>(agentToolSchemas[name], parseJson(text, what), what) as z.output<
    (typeof agentToolSchemas)[Name]
  >;
}
