/**
 * Rejects a submitted run if its models can't work.
 *
 * The check queries the gateway, since only the gateway knows its providers and scripts. The check runs in the
 * orchestrator, so that it covers every publisher and not only the command line. If the gateway doesn't answer, the run
 * is accepted. The gateway checks again at the time of the model call.
 */
import type { Bus } from '@coppice/bus';
import { CoppiceError, gatewayCalls } from '@coppice/contracts';
import type { FieldIssue, RunRequest, TaskSpecification } from '@coppice/contracts';
import { refusal } from './specification.ts';

/** @throws CoppiceError `invalid-request`, which lists each wrong field */
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
    const expected = `a model that this stack's gateway can call (${problem})`;
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
    // The call's span records the failure. The model calls will report unusable models.
    return [];
  }
}
