import { parseJson, validate } from '@coppice/bus';
import {
  CoppiceError,
  sandboxToolSchemas,
  toolDescriptions,
  toolLimits,
  type SandboxToolName,
} from '@coppice/contracts';
import type { z } from 'zod';

/** A tool call with validated arguments. */
export type ReadCall = {
  [Name in SandboxToolName]: { name: Name; input: z.output<(typeof sandboxToolSchemas)[Name]> };
}[SandboxToolName];

const isSandboxTool = (name: string): name is SandboxToolName => Object.hasOwn(sandboxToolSchemas, name);

/**
 * @throws CoppiceError `not-found`, `limit-exceeded` or `invalid-request`. The message explains the error to the model.
 */
export function readCall(name: string, text: string): ReadCall {
  if (!isSandboxTool(name)) {
    // Lists all tools that the model is offered, including the agent's own tools. Without `finish` in the list, the
    // model might never finish.
    const known = Object.keys(toolDescriptions).join(', ');
    throw new CoppiceError('not-found', `there is no tool ${JSON.stringify(name.slice(0, 100))}; there are ${known}`);
  }
  const value = text.trim() === '' ? {} : parseJson(text, `the arguments of ${name}`);
  if (name === 'run') checkCommand(value);
  return {
    name,
    input: validate<unknown>(sandboxToolSchemas[name], withoutNulls(value), `the arguments of ${name}`),
  } as ReadCall;
}

function checkCommand(value: unknown): void {
  const length = (value as { command?: { length?: unknown } } | null)?.command?.length;
  const { commandCharactersMax } = toolLimits;
  if (typeof length === 'number' && length > commandCharactersMax)
    throw new CoppiceError(
      'limit-exceeded',
      `the command has ${length} characters, at most ${commandCharactersMax} are taken`,
    );
}

/** Removes null fields, since some models send null for an optional argument. */
function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null));
}
