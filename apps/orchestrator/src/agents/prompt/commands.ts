import type { ContentPart, modelOperations } from '@coppice/contracts';
import type { z } from 'zod';
import type { TaskContext } from '../../machines/task/task-context.ts';
import { modelLimitsOf } from '../../machines/task/agent/commands.ts';
import { workSandboxId } from '../../machines/task/command-inputs.ts';
import type { SandboxInput } from '../../machines/task/command-inputs.ts';

export function promptTurn(context: TaskContext): z.input<typeof modelOperations.turn.input> {
  const { prompt, model, timeLimitMs } = context.specification;
  const part: ContentPart =
    'text' in prompt ? { type: 'text', text: prompt.text } : { type: 'text-artifact', artifact: prompt.artifact };
  const messages = [{ role: 'user' as const, content: [part] }];
  const { owner, lostTurns = [] } = context;
  return { owner, model, messages, lostTurns, timeLimitMs, limits: modelLimitsOf(context) };
}

export const writeFile = (context: TaskContext): SandboxInput<'write'> => ({
  owner: context.owner,
  sandboxId: workSandboxId(context),
  path: context.specification.agent.kind === 'prompt' ? context.specification.agent.file : '',
  content: context.content ?? { text: '' },
});
