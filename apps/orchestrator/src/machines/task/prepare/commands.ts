import { shortHash, slug } from '@coppice/contracts';
import type { SandboxSpecification } from '@coppice/contracts';
import type { SetupRequest } from '../../setup-machine.ts';
import { workSandboxId } from '../command-inputs.ts';
import type { WorktreeInput } from '../command-inputs.ts';
import { sandboxLimits, slugCharactersMax } from '../task-context.ts';
import type { TaskContext } from '../task-context.ts';

export const resolveSetup = (context: TaskContext): WorktreeInput<'resolveSetup'> => ({
  owner: context.owner,
  repository: context.repository,
  baseBranch: context.baseBranch,
  inputs: context.specification.setup?.inputs ?? [],
});

/** Returns the request for a setup. Tasks with the same inputs and environment on the same node share one setup. */
export function setupRequest(
  context: TaskContext,
  resolved: { baseCommit: string; inputsHash: string; node?: string | undefined },
): SetupRequest {
  const { setup, image, network, timeLimitMs } = context.specification;
  const run = setup?.run ?? '';
  return {
    owner: context.owner,
    repository: context.repository,
    // The key contains tenant and branch, so that a task can't decide what is installed for other tenants or branches.
    setupKey: shortHash(
      'setup',
      context.owner.tenant,
      context.repositoryId,
      context.baseBranch,
      run,
      image,
      network.setup,
      resolved.inputsHash,
      resolved.node ?? '',
    ),
    node: resolved.node ?? null,
    baseCommit: resolved.baseCommit,
    run,
    image,
    network: network.setup,
    timeLimitMs,
  };
}

export const prepare = (context: TaskContext): WorktreeInput<'prepare'> => ({
  owner: context.owner,
  repository: context.repository,
  baseBranch: context.baseBranch,
  slug: slug(context.specification.description, slugCharactersMax),
  setupKey: context.setup?.setupKey ?? null,
});

export const createSandbox = (context: TaskContext): SandboxSpecification => ({
  owner: context.owner,
  sandboxId: workSandboxId(context),
  image: context.specification.image,
  mounts: context.mounts,
  network: context.specification.network.agent,
  limits: sandboxLimits,
  environment: {},
});
