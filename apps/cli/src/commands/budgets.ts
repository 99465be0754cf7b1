/** `coppice budgets`: shows what is left of the budgets for model calls. */
import { api, gatewayCalls } from '@coppice/contracts';
import type { TaskView } from '@coppice/contracts';
import type { z } from 'zod';
import type { ApiClient } from '../api-client.ts';
import { ask } from '../ask.ts';
import { exitCodes } from '../exit-codes.ts';
import { resolveTarget } from '../ids.ts';
import { costText, jsonLine, plainLine } from '../output/text.ts';
import { withClient } from './session.ts';
import type { CommandResult, Session } from './session.ts';

type Account = { runId: string; taskId: string; limits?: TaskView['modelLimits'] };
type Stand = z.output<typeof gatewayCalls.budgets.output>['budgets'][number];

/** @param id run or task whose budgets are shown too; if undefined, only the tenant's budgets are shown */
export function budgetsCommand(session: Session, id: string | undefined, { json }: { json: boolean }): CommandResult {
  return withClient(session, async (client) => {
    const { limits, ...ids } = await accountOf(client, id);
    const input = { owner: { tenant: client.tenant, ...ids }, ...(limits === undefined ? {} : { limits }) };
    const { budgets } = await ask(client, gatewayCalls.budgets, input, { service: 'llm-gateway' });
    if (json) session.terminal.out(jsonLine({ budgets }));
    else for (const line of budgetLines(budgets)) session.terminal.out(plainLine(line));
    return exitCodes.done;
  });
}

async function accountOf(client: ApiClient, id: string | undefined): Promise<Account> {
  if (id === undefined) return { runId: '', taskId: '' };
  const target = await resolveTarget(client, id);
  const { runId } = target;
  if (target.kind === 'task') {
    const { modelLimits } = await ask(client, api.taskGet, { taskId: target.taskId });
    return { runId, taskId: target.taskId, limits: modelLimits };
  }
  const { modelLimits } = await ask(client, api.runGet, { runId });
  return { runId, taskId: '', ...(modelLimits === undefined ? {} : { limits: { task: {}, run: modelLimits } }) };
}

function budgetLines(budgets: readonly Stand[]): string[] {
  if (budgets.length === 0) return ["nothing is limited here: limits are set in a run file, or in the gateway's file"];
  return budgets.flatMap(({ name, limit, used, reserved }) => {
    const lines: string[] = [];
    if (limit.tokens !== undefined)
      lines.push(leftOf(name, limit.tokens, used.tokens, reserved.tokens, (count) => `${count} tokens`));
    if (limit.costUsd !== undefined) lines.push(leftOf(name, limit.costUsd, used.costUsd, reserved.costUsd, costText));
    return lines;
  });
}

function leftOf(name: string, limit: number, used: number, reserved: number, text: (count: number) => string): string {
  const left = Math.max(0, limit - used - reserved);
  const inFlight = reserved === 0 ? '' : `, ${text(reserved)} reserved by calls in flight`;
  return `${name}: ${text(left)} left of ${text(limit)}; ${text(used)} used${inFlight}`;
}
