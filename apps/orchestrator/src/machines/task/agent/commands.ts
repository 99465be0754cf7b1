import { shownModel } from '@coppice/contracts';
import type { CommitMessage } from '@coppice/contracts';
import { rfc3339 } from '../command-inputs.ts';
import type { WorktreeInput } from '../command-inputs.ts';
import type { TaskContext } from '../task-context.ts';

/**
 * Inputs of the commands that a task sends after its agent's work. The agent's own commands are in `agents/<kind>/`.
 */

export const modelLimitsOf = ({ specification }: TaskContext) => specification.modelLimits ?? { task: {}, run: {} };

export function commitMessage(context: TaskContext): CommitMessage {
  const { commit, description, model } = context.specification;
  return {
    type: commit.type,
    scope: commit.scope,
    description,
    body: context.summary,
    // Angle brackets and control characters are removed, so that no model name can look like an address.
    coAuthor: `${shownModel(model).replaceAll(/[<>\p{Cc}]/gu, '')} <noreply@coppice.invalid>`,
    date: rfc3339(context.enteredAtMs),
  };
}

export const commit = (context: TaskContext): WorktreeInput<'commit'> => ({
  owner: context.owner,
  repository: context.repository,
  message: commitMessage(context),
  protect: context.specification.protect,
});
