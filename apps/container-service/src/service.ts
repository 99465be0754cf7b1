import { join } from 'node:path';
import { serveCommands } from '@coppice/bus';
import { anyPool } from '@coppice/contracts';
import { observeDisk, type RunningWork, type ServiceContext } from '@coppice/service';
import { observeGauge } from '@coppice/telemetry';
import { chooseEngine, type EngineChoice } from './choose-engine.ts';
import { withContainerAttributes } from './container-attributes.ts';
import { enforceable, type Engine, type EngineReport } from './engine/port.ts';
import { commandHandlers } from './handlers.ts';
import { keepRemovingLeftovers } from './leftovers.ts';
import { placeOf, serviceName } from './place.ts';

export type ContainerServiceOptions = {
  /** Absolute. The stack's: whatever is mounted into a sandbox lies in it; this service's own folder is in it, too. */
  dataFolder: string;
  /** Default `auto`. */
  engine?: EngineChoice | undefined;
  /** Root file systems made locally; default: in this service's own folder. */
  imagesFolder?: string | undefined;
  dockerSocket?: string | undefined;
  bubblewrapProgram?: string | undefined;
  /** Whom sandboxes run as where the stack is root; default 10001. The worktree service must have the same. */
  sandboxUid?: number | undefined;
  /** Commands in progress at once; default 8. */
  concurrency?: number | undefined;
};

/** With which engine was chosen, and what it enforces here. */
export type ContainerWork = RunningWork & { report: EngineReport };

const concurrencyDefault = 8;

/**
 * Starts the service on a bus, by itself or embedded among others.
 * @throws CoppiceError `engine-unavailable` with what was tried
 */
export async function startContainerService(
  service: ServiceContext,
  options: ContainerServiceOptions,
): Promise<ContainerWork> {
  const { bus, member, node, log } = service;
  const { dataFolder, stateFolder, stackId } = await placeOf(options.dataFolder);
  const { engine, report } = await chooseEngine({
    ...options,
    choice: options.engine ?? 'auto',
    dataFolder: dataFolder.real,
    stateFolder,
    stackId,
    onTrouble: (error, what) => log.warn({ err: error }, what),
  });
  const missing = enforceable.filter((name) => !report.enforces[name].enforced);
  const level = missing.length === 0 ? 'info' : 'warn';
  log[level](
    { engine: engine.name, engineVersion: report.version, image: report.image.origin, notEnforced: missing },
    summaryOf(report),
  );
  const stopping = new AbortController();
  const sweeping = keepRemovingLeftovers({ bus, engine, stackId, log, signal: stopping.signal });
  const endMetrics = [observeDisk(dataFolder.real, node), observeSandboxes(engine, { stackId, node })];
  const logsFolder = join(stateFolder, 'logs');
  const commands = await serveCommands(bus, {
    service: serviceName,
    pools: [anyPool, node],
    concurrency: options.concurrency ?? concurrencyDefault,
    member,
    handlers: commandHandlers({ bus, engine, node, stackId, log, dataFolder, logsFolder }).map(
      withContainerAttributes(engine.name),
    ),
  });
  return {
    report,
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

/** One line for people: the engine, and what it was found not to enforce here. */
export function summaryOf(report: EngineReport): string {
  const missing = enforceable.filter((name) => !report.enforces[name].enforced);
  const engine = `sandboxes by ${report.version} (${report.engine})`;
  return missing.length === 0 ? `${engine}; every limit holds` : `${engine}; not enforced here: ${missing.join(', ')}`;
}
