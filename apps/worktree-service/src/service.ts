import path from 'node:path';
import { serveCommands, type CommandServer, type Service } from '@coppice/bus';
import { anyPool } from '@coppice/contracts';
import { observeDisk, type RunningWork, type ServiceContext } from '@coppice/service';
import type { Context } from './context.ts';
import { commandHandlers, placesOfFetches, endpoints, serviceName } from './handlers.ts';
import { openContext } from './open.ts';
import type { AllowedRepositories } from './repository/allowed-repositories.ts';
import { withVcsAttributes } from './vcs-attributes.ts';

export type WorktreeServiceOptions = {
  /** Absolute: the stack's own. What this service keeps lies in a folder of its name there. */
  dataFolder: string;
  /** Whom worktrees belong to where the stack is root; default 10001. */
  sandboxUid?: number | undefined;
  /** Which repositories each tenant may name; default: any. */
  allowedRepositories?: AllowedRepositories;
  /** Commands in progress at once; default 8. */
  concurrency?: number | undefined;
};

/** A checkout keeps a disk and a git process busy: more at once only makes each slower. */
const concurrencyDefault = 8;

/** Starts the service on a bus, by itself or embedded among others. */
export async function startWorktreeService(
  service: ServiceContext,
  options: WorktreeServiceOptions,
): Promise<RunningWork> {
  const { bus, member, node, version, clock, log } = service;
  const dataFolder = path.join(options.dataFolder, serviceName);
  const context = await openContext({
    dataFolder,
    stackFolder: options.dataFolder,
    node,
    sandboxUid: options.sandboxUid,
    clock,
    ...(options.allowedRepositories === undefined ? {} : { allowedRepositories: options.allowedRepositories }),
    onTrashError: (error) => log.warn({ err: error }, 'a removed folder could not be deleted'),
    onUpkeepError: (error) => log.warn({ err: error }, 'what is too old could not be removed'),
  });
  const endDisk = observeDisk(dataFolder, node);
  const calls = await bus.serve({
    name: serviceName,
    version,
    description: 'Repositories, worktrees, commits and merges',
    endpoints: endpoints(context, bus),
  });
  const concurrency = options.concurrency ?? concurrencyDefault;
  const commands = await serveCommands(bus, {
    service: serviceName,
    pools: [anyPool, node],
    concurrency,
    member,
    handlers: commandHandlers(context, placesOfFetches(concurrency)).map(withVcsAttributes),
  });
  return {
    stop: async () => {
      endDisk();
      await stop(commands, calls, context);
    },
  };
}

async function stop(commands: CommandServer, calls: Service, context: Context): Promise<void> {
  await calls.stop();
  await commands.stop();
  // What isn't deleted by then is swept at the next start.
  await context.trash.settle();
}
