import type { ModelLimits, Owner } from '@coppice/contracts';
import type { Budget } from './budget.ts';

/** A tenant's limit on model usage per UTC day, per UTC month, or in total. */
export type TenantLimit = ModelLimits & {
  /** Name of a tenant, or `*` for each tenant without a limit of its own. */
  tenant: string;
  per: 'day' | 'month' | 'ever';
};

/** The account that a call is charged to. */
export type Account = {
  owner: Owner;
  /** Limits from the run file. All calls of a task have the same limits. */
  limits?: { task: ModelLimits; run: ModelLimits } | undefined;
  /** Token of a client of the HTTP endpoints. */
  token?: { id: string; limits: ModelLimits } | undefined;
  /** Limits of this call alone. They apply to the sum of its attempts. */
  call?: { id: string; limits: ModelLimits } | undefined;
};

const days = (count: number): number => count * 24 * 3_600_000;
/** Must be longer than any pause of a task between two model calls. */
const taskForgottenMs = days(60);
const tokenForgottenMs = days(3);

/** Returns the budgets of a call of this account, except those without a limit. */
export function budgetsOf(
  { owner, limits, token, call }: Account,
  tenants: readonly TenantLimit[],
  now: Date,
): Budget[] {
  const { tenant, runId, taskId } = owner;
  const all: (Budget | null)[] = [
    limits === undefined || taskId === ''
      ? null
      : budget(`task.${tenant}.${taskId}`, `task ${taskId}`, limits.task, taskForgottenMs),
    limits === undefined || runId === ''
      ? null
      : budget(`run.${tenant}.${runId}`, `run ${runId}`, limits.run, taskForgottenMs),
    token === undefined ? null : budget(`token.${tenant}.${token.id}`, `this token`, token.limits, tokenForgottenMs),
    call === undefined ? null : ofOneCall(budget(`call.${tenant}.${call.id}`, 'this call', call.limits, null)),
    tenantBudget(tenant, tenants, now),
  ];
  return all.filter((each) => each !== null);
}

const ofOneCall = (own: Budget | null): Budget | null => (own === null ? null : { ...own, ofOneCall: true });

function tenantBudget(tenant: string, tenants: readonly TenantLimit[], now: Date): Budget | null {
  const found = tenants.find((each) => each.tenant === tenant) ?? tenants.find((each) => each.tenant === '*');
  if (found === undefined) return null;
  const { per, tokens, costUsd } = found;
  const period = dayOf(now).slice(0, { day: 'yyyy-mm-dd'.length, month: 'yyyy-mm'.length, ever: 0 }[per]);
  const forgottenAfterMs = { day: days(3), month: days(70), ever: null }[per];
  const name = per === 'ever' ? `tenant ${tenant}` : `tenant ${tenant} in ${period}`;
  return budget(`tenant.${tenant}${period === '' ? '' : `.${period}`}`, name, { tokens, costUsd }, forgottenAfterMs);
}

const dayMs = days(1);
let lastDay = { number: Number.NaN, text: '' };

/** Returns the UTC day as `yyyy-mm-dd`. Caches the last day, since formatting is slow. */
function dayOf(now: Date): string {
  const number = Math.floor(now.getTime() / dayMs);
  if (number !== lastDay.number) lastDay = { number, text: now.toISOString().slice(0, 'yyyy-mm-dd'.length) };
  return lastDay.text;
}

function budget(key: string, name: string, limit: ModelLimits, forgottenAfterMs: number | null): Budget | null {
  return limit.tokens === undefined && limit.costUsd === undefined ? null : { key, name, limit, forgottenAfterMs };
}
