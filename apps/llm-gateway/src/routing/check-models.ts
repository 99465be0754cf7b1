import { CoppiceError } from '@coppice/contracts';
import type { Routes } from './routes.ts';
import { gatewayLimits } from '../limits.ts';

/** Returns the models whose calls would certainly fail, each with the reason. Temporary problems don't count. */
export async function checkModels(
  routes: Routes,
  names: readonly string[],
): Promise<{ model: string; problem: string }[]> {
  const problems: { model: string; problem: string }[] = [];
  for (const name of names) {
    if (problems.length === gatewayLimits.modelProblemsMax) break;
    const problem = await problemOf(routes, name);
    if (problem !== null) problems.push({ model: name, problem: problem.slice(0, gatewayLimits.problemCharactersMax) });
  }
  return problems;
}

/** Returns null if one candidate may answer. */
async function problemOf(routes: Routes, name: string): Promise<string | null> {
  const problems: string[] = [];
  try {
    for (const { provider, model } of routes.resolve(name).routes) {
      const problem = await provider.check(model).then(() => null, lasting);
      if (problem === null) return null;
      problems.push(problem);
    }
  } catch (error) {
    return lasting(error);
  }
  return problems.join('; ');
}

/**
 * Returns null for an error that may be temporary.
 * @throws an error that isn't a CoppiceError.
 */
function lasting(error: unknown): string | null {
  if (!(error instanceof CoppiceError)) throw error;
  return error.retryable ? null : error.message;
}
