import type { Usage } from '@coppice/contracts';

export const noUsage: Usage = { inputTokens: 0, outputTokens: 0, costUsd: 0 };

/** Adds two usages. If one cost is unknown (null), the sum is unknown too. */
export function addUsage(left: Usage, right: Usage): Usage {
  return {
    inputTokens: left.inputTokens + right.inputTokens,
    outputTokens: left.outputTokens + right.outputTokens,
    costUsd: left.costUsd === null || right.costUsd === null ? null : left.costUsd + right.costUsd,
  };
}
