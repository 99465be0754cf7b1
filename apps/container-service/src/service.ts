import { join } from 'node:path';
import { serveCommands } from '@coppice/bus';
import { anyPool, landingPool } from '@coppice/contracts';
import { FullDiskWaits, observeDisk, untilDiskHasRoom } from '@coppice/disk';
import { type RunningWork, type ServiceContext } from '@coppice/service';
import { observeGauge, type Logger } from '@coppice/telemetry';
import { chooseEngine, type EngineChoice } from './choose-engine.ts';
import { withContainerAttributes } from './container-attributes.ts';
import { enforceable, isPending, type Enforcement, type Engine, type EngineReport } from './engine/port.ts';
import { withFullDisk } from './full-disk.ts';
import { commandHandlers } from './handlers.ts';
import { keepRemovingLeftovers } from './leftovers.ts';
import { placeOf, serviceName } from './place.ts';

export type ContainerServiceOptions = {
  /** Absolute path of the stack's data folder. It contains all mount sources and this service's own folder. */
  dataFolder: string;
  /** Default `auto`. */
  engine?: EngineChoice | undefined;
  /** Folder of locally built root file systems. Default: `images` in this service's own folder. */
  imagesFolder?: string | undefined;
  dockerSocket?: string | undefined;
  bubblewrapProgram?: string | undefined;
  /** User id of sandboxes if the stack runs as root. Default: 10001. The worktree service must use the same id. */
  sandboxUid?: number | undefined;
  /** Maximum number of concurrent commands in each of the three pools (any, this node, landing). Default: 8. */
  concurrency?: number | undefined;
  /** Called with the reason while the start waits. */
  onWaiting?: ((line: string) => void) | undefined;
};

export type ContainerWork = RunningWork & {
  /** The chosen engine, and what is known so far about the limits that it enforces. */
  report: EngineReport;
  /** Resolves when all limits are known or the service stops. */
  settled: Promise<EngineReport>;
};

const concurrencyDefault = 8;

/**
 * Starts the service on a bus, in its own process or together with other services.
 * @throws CoppiceError `engine-unavailable` if no engine works
 */
export async function startContainerService(
  service: ServiceContext,
  options: ContainerServiceOptions,
): Promise<ContainerWork> {
  const { bus, member, node, log } = service;
  const onWaiting = (line: string): void => {
    log.warn(line);
    options.onWaiting?.(line);
  };
  const withRoom = <Result>(step: () => Promise<Result>) => untilDiskHasRoom(options.dataFolder, step, onWaiting);
  const { dataFolder, stateFolder, stackId } = await withRoom(() => placeOf(options.dataFolder));
  const { engine, report } = await withRoom(() =>
    chooseEngine({
      ...options,
      choice: options.engine ?? 'auto',
      dataFolder: dataFolder.real,
      stateFolder,
      stackId,
      onTrouble: (error, what) => log.warn({ err: error }, what),
      onWaiting,
    }),
  );
  logReport(log, engine, report);
  const settled = engine.settled();
  if (isUnknown(report)) void settled.then((later) => isUnknown(later) || logReport(log, engine, later));
  const stopping = new AbortController();
  const logsFolder = join(stateFolder, 'logs');
  const sweeping = keepRemovingLeftovers({ bus, engine, stackId, logsFolder, log, signal: stopping.signal });
  const endMetrics = [observeDisk(dataFolder.real, node), observeSandboxes(engine, { stackId, node })];
  const commands = await serveCommands(bus, {
    service: serviceName,
    pools: [anyPool, node, landingPool(node)],
    concurrency: options.concurrency ?? concurrencyDefault,
    member,
    handlers: commandHandlers({ bus, engine, node, stackId, log, dataFolder, logsFolder })
      .map(withFullDisk(dataFolder.real, new FullDiskWaits()))
      .map(withContainerAttributes(engine.name)),
  });
  return {
    report,
    settled,
    stop: async () => {
      stopping.abort();
      for (const end of endMetrics) end();
      await commands.stop();
      await sweeping;
      await engine.close();
    },
  };
}

function observeSandboxes(engine: Engine, { stackId, node }: { stackId: string; node: string }): () => void {
  return observeGauge('coppice.sandboxes', async () => {
    const sandboxes = await engine.list({ stackId });
    const running = sandboxes.filter((sandbox) => sandbox.running > 0).length;
    const reading = (state: string, value: number) => ({
      value,
      labels: { 'container.runtime.name': engine.name, node, state },
    });
    return [reading('running', running), reading('idle', sandboxes.length - running)];
  });
}

const named = (report: EngineReport, isOne: (enforcement: Enforcement) => boolean) =>
  enforceable.filter((name) => isOne(report.enforces[name]));
const isMissing = ({ enforced }: Enforcement) => enforced === false;
const isUntriable = ({ untriable }: Enforcement) => untriable === true;
const isUnknown = (report: EngineReport) => named(report, isPending).length > 0;

function logReport(log: Logger, engine: Engine, report: EngineReport): void {
  const [notEnforced, unknown] = [named(report, isMissing), named(report, ({ enforced }) => enforced === null)];
  const level = notEnforced.length + unknown.length === 0 ? 'info' : 'warn';
  const fields = { engine: engine.name, engineVersion: report.version, image: report.image.origin };
  log[level]({ ...fields, notEnforced, unknown }, summaryOf(report));
}

/** Returns one line for people. It names the engine and the limits that the engine doesn't enforce on this machine. */
export function summaryOf(report: EngineReport): string {
  const [missing, unknown] = [named(report, isMissing), named(report, isPending)];
  const untriable = named(report, isUntriable);
  const engine = `sandboxes by ${report.version} (${report.engine})`;
  const parts = [
    ...(missing.length === 0 ? [] : [`not enforced here: ${missing.join(', ')}`]),
    ...(unknown.length === 0 ? [] : [`unknown so far, and tried again: ${unknown.join(', ')}`]),
    ...(untriable.length === 0 ? [] : [`unknown, since it can't be tried here: ${untriable.join(', ')}`]),
  ];
  return parts.length === 0 ? `${engine}; every limit holds` : [engine, ...parts].join('; ');
}
