import {
  NotNow,
  handle,
  serviceEndpoint,
  type Bus,
  type CommandContext,
  type CommandHandler,
  type Endpoint,
} from '@coppice/bus';
import { CoppiceError, worktreeCalls, worktreeOperations as operations, type Owner } from '@coppice/contracts';
import { Admission } from '@coppice/service';
import { forTenant, type Context } from './context.ts';
import type { Retention } from './disk/retention.ts';
import { requireRoom } from './disk/room.ts';
import { checkpoint, commit } from './import/import.ts';
import { finishedLandings } from './merge/finish-command.ts';
import { land } from './merge/land.ts';
import { prepareMerge } from './merge/prepare-merge.ts';
import { pushBranch } from './merge/push-branch.ts';
import { bundle } from './repository/bundle.ts';
import { diff, inspect } from './repository/inspect.ts';
import { serviceName } from './service-name.ts';
import { resolveSetup } from './setup/inputs.ts';
import { discardSetup, prepareSetup, sealSetup } from './setup/setup.ts';
import { prepare } from './worktree/prepare.ts';
import { remove } from './worktree/remove.ts';

const flat = <Input extends { owner: Owner }>(input: Input, command: CommandContext) => ({
  ...input,
  taskId: input.owner.taskId,
  runId: input.owner.runId,
  effectId: command.effectId,
});

/**
 * Limits the number of concurrent operations that fetch, since a slow server or repository makes a fetch take long.
 * Each tenant may use three quarters of the slots, so that other tenants find free ones. If a command gets no slot, the
 * bus redelivers the command later.
 */
export function fetchPlaces(concurrency: number): Admission {
  const perGroup = Math.max(1, Math.floor((concurrency * 3) / 4));
  return new Admission({ total: concurrency, perGroup, waitingPerGroupMax: concurrency, stuckAfterMs: 2_000 });
}

async function inPlace<T>(places: Admission, tenant: string, work: () => Promise<T>): Promise<T> {
  let hasBegun = false;
  const begin = () => {
    hasBegun = true;
    return work();
  };
  return places.within({ group: tenant }, begin).catch((error: unknown) => {
    throw hasBegun ? error : new NotNow('too many commands of the tenant are in progress', { cause: error });
  });
}

export function commandHandlers(context: Context, places: Admission): CommandHandler[] {
  const of = ({ owner }: { owner: Owner }): Context => forTenant(context, owner.tenant);
  return [
    handle(operations.prepare, (input, command) =>
      inPlace(places, input.owner.tenant, () => prepare(of(input), flat(input, command), command.signal)),
    ),
    handle(operations.commit, (input, command) => commit(of(input), flat(input, command), command.signal)),
    handle(operations.checkpoint, (input, command) => checkpoint(of(input), flat(input, command), command.signal)),
    handle(operations.prepareMerge, (input, command) =>
      inPlace(places, input.owner.tenant, () => prepareMerge(of(input), flat(input, command), command.signal)),
    ),
    handle(operations.land, (input, command) => land(of(input), flat(input, command), command.signal)),
    handle(operations.pushBranch, (input, command) => pushBranch(of(input), flat(input, command), command.signal)),
    handle(operations.remove, (input, command) => remove(of(input), flat(input, command), command.signal)),
    handle(operations.resolveSetup, (input, command) =>
      inPlace(places, input.owner.tenant, () => resolveSetup(of(input), input, command.signal)),
    ),
    handle(operations.prepareSetup, (input, command) => prepareSetup(of(input), flat(input, command), command.signal)),
    handle(operations.sealSetup, (input, command) => sealSetup(of(input), flat(input, command), command.signal)),
    handle(operations.discardSetup, (input, command) => discardSetup(of(input), flat(input, command), command.signal)),
  ];
}

/**
 * Time in milliseconds between the abort of the work and the caller's deadline. In this time, the error reaches the
 * caller.
 */
const answerMarginMs = 1_000;

/** Each call runs one or more git processes and may wait for a server that never answers. */
export const inspectsAtOnce = { total: 32, perGroup: 8, waitingPerGroupMax: 200, stuckAfterMs: 10_000 } as const;
/**
 * Each call runs one or two git processes. They read only repositories of this machine, so no call waits for a server.
 */
export const readsAtOnce = { total: 16, perGroup: 4, waitingPerGroupMax: 100, stuckAfterMs: 4_000 } as const;
/** Each call keeps up to `bundleBytesMax` bytes in memory. */
export const bundlesAtOnce = { total: 8, perGroup: 1, waitingPerGroupMax: 50, stuckAfterMs: 30_000 } as const;

async function inTime<T>(deadlineMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController();
  const late = new CoppiceError('deadline-exceeded', `the repository did not answer within ${deadlineMs} ms`);
  const timer = setTimeout(() => abort.abort(late), deadlineMs - answerMarginMs);
  try {
    return await work(abort.signal);
  } finally {
    clearTimeout(timer);
  }
}

export function endpoints(context: Context, bus: Bus, retention: Pick<Retention, 'report'>): Endpoint[] {
  const [inspects, reads, bundles] = [
    new Admission(inspectsAtOnce),
    new Admission(readsAtOnce),
    new Admission(bundlesAtOnce),
  ];
  return [
    serviceEndpoint(serviceName, worktreeCalls.inspect, (input) =>
      inTime(worktreeCalls.inspect.deadlineMs, (signal) =>
        inspects.within({ group: input.tenant }, async () => {
          const found = await inspect(forTenant(context, input.tenant), input, signal);
          // A run is about to start and needs free space. The check comes last, so that errors in the request are
          // reported first.
          await requireRoom(context, retention.report);
          return found;
        }),
      ),
    ),
    serviceEndpoint(serviceName, worktreeCalls.finishedLandings, (input) =>
      inTime(worktreeCalls.finishedLandings.deadlineMs, (signal) =>
        reads.within({ group: input.tenant }, () => finishedLandings(forTenant(context, input.tenant), input, signal)),
      ),
    ),
    serviceEndpoint(
      serviceName,
      worktreeCalls.diff,
      (input) =>
        inTime(worktreeCalls.diff.deadlineMs, (signal) =>
          reads.within({ group: input.tenant }, () => diff(forTenant(context, input.tenant), input, signal)),
        ),
      context.node,
    ),
    serviceEndpoint(
      serviceName,
      worktreeCalls.bundle,
      (input) =>
        inTime(worktreeCalls.bundle.deadlineMs, (signal) =>
          bundles.within({ group: input.tenant }, () => bundle(forTenant(context, input.tenant), bus, input, signal)),
        ),
      context.node,
    ),
  ];
}
