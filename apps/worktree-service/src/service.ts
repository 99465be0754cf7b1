import path from 'node:path';
import { serveCommands, type CommandServer, type Service } from '@coppice/bus';
import { anyPool } from '@coppice/contracts';
import { FullDiskWaits, observeDisk, untilDiskHasRoom } from '@coppice/disk';
import { type RunningWork, type ServiceContext } from '@coppice/service';
import { addToCounter, observeGauge } from '@coppice/telemetry';
import type { Context } from './context.ts';
import { withFullDisk } from './disk/full-disk.ts';
import { Retention } from './disk/retention.ts';
import type { DiskSettings } from './disk/settings.ts';
import { commandHandlers, fetchPlaces, endpoints } from './handlers.ts';
import { openContext, type OpenOptions } from './open.ts';
import type { AllowedRepositories } from './repository/allowed-repositories.ts';
import { serviceName } from './service-name.ts';
import { withVcsAttributes } from './vcs-attributes.ts';

export type WorktreeServiceOptions = {
  /** Absolute path of the stack's data folder. This service uses a subfolder with its own name. */
  dataFolder: string;
  /** User that owns worktrees if the stack runs as root; default 10001. */
  sandboxUid?: number | undefined;
  /** Repositories that each tenant may use; default: all. */
  allowedRepositories?: AllowedRepositories;
  /** Maximum number of concurrent commands; default 8. */
  concurrency?: number | undefined;
  /** Limits of the data that stays on the disk; default: diskSettingsDefault. */
  disk?: DiskSettings;
};

/** Each checkout keeps the disk and a git process busy, so more concurrent checkouts would only slow each other down. */
const concurrencyDefault = 8;

/** Starts the service, alone in its process or together with other services. */
export async function startWorktreeService(
  service: ServiceContext,
  options: WorktreeServiceOptions,
): Promise<RunningWork> {
  const { bus, member, node, version, clock, log } = service;
  const dataFolder = path.join(options.dataFolder, serviceName);
  let retention: Retention | null = null;
  const open: OpenOptions = {
    dataFolder,
    stackFolder: options.dataFolder,
    node,
    sandboxUid: options.sandboxUid,
    clock,
    ...(options.allowedRepositories === undefined ? {} : { allowedRepositories: options.allowedRepositories }),
    ...(options.disk === undefined ? {} : { disk: options.disk }),
    onFolderKept: () => retention?.request(),
    onTrashError: (error) => log.warn({ err: error }, 'a removed folder could not be deleted'),
    onUpkeepError: (error) => log.warn({ err: error }, 'outdated data could not be removed'),
  };
  const context = await untilDiskHasRoom(
    options.dataFolder,
    () => openContext(open),
    (line) => log.warn(line),
  );
  const rounds = new Retention(context, {
    clock,
    onRemoved: ({ what, reason, bytes }) => {
      log.warn({ what, reason, bytes }, `removed to free disk space (${reason}): ${what}`);
      addToCounter('coppice.disk.removed', 1, { node, reason });
    },
    onError: (error) => log.warn({ err: error }, 'disk space could not be freed'),
  });
  retention = rounds;
  rounds.start();
  const endMetrics = [observeDisk(dataFolder, node), ...observeRetention(rounds, node)];
  const calls = await bus.serve({
    name: serviceName,
    version,
    description: 'Repositories, worktrees, commits and merges',
    endpoints: endpoints(context, bus, rounds),
  });
  const concurrency = options.concurrency ?? concurrencyDefault;
  const commands = await serveCommands(bus, {
    service: serviceName,
    pools: [anyPool, node],
    concurrency,
    member,
    handlers: commandHandlers(context, fetchPlaces(concurrency))
      .map(withFullDisk(context, rounds, new FullDiskWaits()))
      .map(withVcsAttributes),
  });
  return {
    stop: async () => {
      for (const end of endMetrics) end();
      await stop(commands, calls, context);
      await rounds.stop();
    },
  };
}

/** Registers disk metrics. Their values come from this process's last retention round. */
function observeRetention(rounds: Retention, node: string): (() => void)[] {
  return [
    observeGauge('coppice.disk.used', () =>
      (rounds.report?.parts ?? []).flatMap(({ name, bytes }) =>
        bytes === null ? [] : [{ value: bytes, labels: { node, part: name } }],
      ),
    ),
    observeGauge('coppice.disk.free.min', () =>
      rounds.report === null ? [] : [{ value: rounds.report.freeBytesMin, labels: { node } }],
    ),
  ];
}

async function stop(commands: CommandServer, calls: Service, context: Context): Promise<void> {
  await calls.stop();
  await commands.stop();
  // If the process is killed here, the next start removes the folders in the trash.
  await context.trash.settle();
}
