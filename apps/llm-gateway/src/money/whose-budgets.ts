import type { ModelLimits, Owner } from '@coppice/contracts';
import type { Budget } from './budgets.ts';

/** What a tenant may use of models, in each day or month of UTC, or in all. */
export type TenantLimit = ModelLimits & {
  /** `*`: each tenant that isn't named, on its own. */
  tenant: string;
  per: 'day' | 'month' | 'ever';
};

/** On whose account a call is made. */
export type Account = {
  owner: Owner;
  /** Of the run file; those of one task are the same in all that is charged to it. */
  limits?: { task: ModelLimits; run: ModelLimits } | undefined;
  /** Of a program at an HTTP door. */
  token?: { id: string; limits: ModelLimits } | undefined;
  /** Of this call alone, all its attempts together. */
  call?: { id: string; limits: ModelLimits } | undefined;
};

const days = (count: number): number => count * 24 * 3_600_000;
/** Longer than a task can wait for its next turn. */
const taskForgottenMs = days(60);
const tokenForgottenMs = days(3);

/** All budgets that a call of this account must fit, those without a limit left out. */
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
let dayAsked = { count: Number.NaN, text: '' };

/** Of UTC, as `yyyy-mm-dd`. Remembered, since each call asks for it and few days are asked for. */
function dayOf(now: Date): string {
  const count = Math.floor(now.getTime() / dayMs);
  if (count !== dayAsked.count) dayAsked = { count, text: now.toISOString().slice(0, 'yyyy-mm-dd'.length) };
  return dayAsked.text;
}

function budget(key: string, name: string, limit: ModelLimits, forgottenAfterMs: number | null): Budget | null {
  return limit.tokens === undefined && limit.costUsd === undefined ? null : { key, name, limit, forgottenAfterMs };
}
