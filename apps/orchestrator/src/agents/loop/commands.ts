import { toolDefinitions } from '@coppice/contracts';
import type { ToolResult, modelOperations } from '@coppice/contracts';
import type { z } from 'zod';
import type { TaskContext } from '../../machines/task/task-context.ts';
import { modelLimitsOf } from '../../machines/task/agent/commands.ts';
import { rfc3339, workSandboxId } from '../../machines/task/command-inputs.ts';
import type { SandboxInput, WorktreeInput } from '../../machines/task/command-inputs.ts';
import { instructionFiles, resultCharactersMax } from './limits.ts';
import { newLoop } from './loop-state.ts';
import type { Assignment, LoopState } from './loop-state.ts';
import { limitsOf } from './replay.ts';

export const loopOf = (context: TaskContext): LoopState => context.loop ?? newLoop();

export function assignmentOf({ specification }: TaskContext): Assignment {
  const { agent } = specification;
  if (agent.kind !== 'loop') throw new Error(`an agent of kind ${agent.kind} has no loop`);
  return {
    description: specification.description,
    prompt: specification.prompt,
    verify: specification.verify,
    ...limitsOf(agent),
  };
}

export function loopTurn(context: TaskContext): z.input<typeof modelOperations.turn.input> {
  const { model, timeLimitMs } = context.specification;
  const { next, turnId, messages, lostTurns = [] } = loopOf(context);
  const tools = next.do === 'ask' && next.for === 'summary' ? [] : toolDefinitions();
  const limits = modelLimitsOf(context);
  return { owner: context.owner, model, continues: turnId, messages, lostTurns, tools, timeLimitMs, limits };
}

/**
 * Reads the instruction files with the agent's `read` tool, so that the sandbox applies the same rules to them as to
 * the agent's own reads.
 */
export const readInstructions = (context: TaskContext): SandboxInput<'tools'> => ({
  owner: context.owner,
  sandboxId: workSandboxId(context),
  calls: instructionFiles.map((path) => ({ id: path, name: 'read', arguments: { text: JSON.stringify({ path }) } })),
  resultCharactersMax: resultCharactersMax(assignmentOf(context)),
});

export const toolCalls = (context: TaskContext): SandboxInput<'tools'> => {
  const { next } = loopOf(context);
  return {
    owner: context.owner,
    sandboxId: workSandboxId(context),
    calls: next.do === 'call' ? next.calls : [],
    resultCharactersMax: resultCharactersMax(assignmentOf(context)),
  };
};

const lookingTools: readonly string[] = ['read', 'list', 'search'];
export const mayHaveWritten = (results: readonly ToolResult[]): boolean =>
  results.some(({ name }) => !lookingTools.includes(name));

export const checkpoint = (context: TaskContext): WorktreeInput<'checkpoint'> => ({
  owner: context.owner,
  date: rfc3339(context.savedAtMs),
});
