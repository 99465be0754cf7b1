/**
 * Refuses a run whose models can't work, when it is submitted.
 *
 * The gateway is asked, since it alone knows its providers and scripts, and any publisher is served so, not only the command line. It is a
 * courtesy, not a guard: a gateway that doesn't answer refuses nothing (the run waits for one anyway, and a turn looks again), and an answer
 * may be out of date by the time of the turn.
 */
import type { Bus } from '@coppice/bus';
import { CoppiceError, gatewayCalls } from '@coppice/contracts';
import type { FieldIssue, RunRequest, TaskSpecification } from '@coppice/contracts';
import { refusal } from './specification.ts';

/** @throws CoppiceError `invalid-request` that names each field. */
export async function requireModels(
  bus: Bus,
  request: RunRequest,
  specifications: readonly TaskSpecification[],
): Promise<void> {
  const models = [...new Set(specifications.map(({ model }) => model))];
  const problems = new Map<string, string>();
  for (const { model, problem } of await ask(bus, models)) problems.set(model, problem);
  const issues: FieldIssue[] = [];
  for (const [index, { model }] of specifications.entries()) {
    const problem = problems.get(model);
    if (problem === undefined) continue;
    const field = request.tasks[index]?.model === undefined ? 'defaults.model' : `tasks[${index}].model`;
    if (issues.some((issue) => issue.field === field)) continue;
    const expected = `a model that this stack's gateway can ask (${problem})`;
    issues.push({ field, expected, received: JSON.stringify(model) });
  }
  if (issues.length > 0) throw refusal(issues);
}

async function ask(bus: Bus, models: string[]): Promise<{ model: string; problem: string }[]> {
  try {
    const answer = await bus.call(gatewayCalls.checkModels, { service: 'llm-gateway' }, { models });
    return answer.problems;
  } catch (error) {
    if (!(error instanceof CoppiceError)) throw error;
    // The call's span tells of it; the turns will tell of the models.
    return [];
  }
}
