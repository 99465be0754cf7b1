/** Whose a model is, by its name `provider/model`. */
import { CoppiceError } from '@coppice/contracts';
import { gatewayLimits } from './limits.ts';
import type { Provider } from './provider/port.ts';

/** @throws CoppiceError `model-not-found`. */
export function resolveModel(providers: readonly Provider[], name: string): { provider: Provider; model: string } {
  const slash = name.indexOf('/');
  const providerName = slash === -1 ? name : name.slice(0, slash);
  const provider = providers.find((known) => known.name === providerName);
  const model = slash === -1 ? '' : name.slice(slash + 1);
  if (provider !== undefined && model !== '') return { provider, model };
  const known = providers.map((each) => each.name).join(', ');
  throw new CoppiceError(
    'model-not-found',
    `model ${JSON.stringify(name)}: expected provider/model with one of the providers ${known}`,
  );
}

/** Those that a turn would surely fail with, each with why. What may only be a matter of time isn't among them. */
export async function checkModels(
  providers: readonly Provider[],
  names: readonly string[],
): Promise<{ model: string; problem: string }[]> {
  const problems: { model: string; problem: string }[] = [];
  for (const name of names) {
    if (problems.length === gatewayLimits.modelProblemsMax) break;
    try {
      const { provider, model } = resolveModel(providers, name);
      await provider.check(model);
    } catch (error) {
      if (!(error instanceof CoppiceError)) throw error;
      if (!error.retryable)
        problems.push({ model: name, problem: error.message.slice(0, gatewayLimits.problemCharactersMax) });
    }
  }
  return problems;
}
