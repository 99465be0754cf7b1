import type { RunningWork, ServiceContext } from '@coppice/service';
import type { Home } from './home.ts';
import { foundSocket, setupResult } from './programs.ts';

export type EngineChoice = 'auto' | 'docker' | 'bubblewrap' | 'none';
export const engineChoices = ['auto', 'docker', 'bubblewrap', 'none'] as const satisfies EngineChoice[];

export type EmbeddedWork = RunningWork & {
  /** Progress line about the started service. */
  line?: string;
  /** Name of the sandbox engine. Only the container service sets it. */
  engine?: string;
  /** A later progress line; null if there is nothing to add to `line`. */
  laterLine?: Promise<string | null>;
};

export type EmbeddedService = {
  name: string;
  makesResources?: boolean;
  /** @param say prints a progress line during the start */
  start(context: ServiceContext, say: (line: string) => void): Promise<EmbeddedWork>;
};

/**
 * The code of a service is loaded when the service starts, since most commands need no service. All services use one
 * data folder, since the container service mounts the worktree service's files.
 */
export function embeddedServices(options: {
  home: Home;
  engine: EngineChoice;
  imagesFolder: string;
  /** Result of `takeGatewayEnvironment`. */
  gatewayEnvironment: NodeJS.ProcessEnv;
}): EmbeddedService[] {
  const { dataFolder } = options.home;
  return [
    {
      name: 'worktree-service',
      start: async (context) => {
        const { diskSettingsFrom, startWorktreeService } = await import('@coppice/worktree-service');
        return startWorktreeService(context, { dataFolder, disk: diskSettingsFrom(process.env) });
      },
    },
    {
      name: 'container-service',
      start: async (context, say) => {
        const { startContainerService, summaryOf } = await import('@coppice/container-service');
        const work = await startContainerService(context, {
          ...containerOptions(options),
          engine: options.engine,
          onWaiting: say,
        });
        const line = summaryOf(work.report);
        const laterLine = work.settled.then((report) => (summaryOf(report) === line ? null : summaryOf(report)));
        return { stop: () => work.stop(), line, laterLine, engine: work.report.engine };
      },
    },
    {
      name: 'llm-gateway',
      start: async (context) => {
        const { gatewayOptionsFrom, startLlmGateway } = await import('@coppice/llm-gateway');
        // The user of an embedded stack owns the machine, so scripts may be in any folder.
        const settings = { ...gatewayOptionsFrom(options.gatewayEnvironment), scriptsAnywhere: true };
        const work = await startLlmGateway(context, settings);
        const addresses = work.httpAddresses.join(', ');
        return { stop: () => work.stop(), ...(addresses === '' ? {} : { line: `HTTP endpoints at ${addresses}` }) };
      },
    },
    {
      name: 'orchestrator',
      makesResources: true,
      start: async (context) => {
        const { startOrchestrator } = await import('@coppice/orchestrator');
        return startOrchestrator(context);
      },
    },
  ];
}

function containerOptions({ home, imagesFolder }: { home: Home; imagesFolder: string }) {
  return { dataFolder: home.dataFolder, ...engineSettings(imagesFolder) };
}

export function engineSettings(imagesFolder: string) {
  const setup = setupResult();
  const user = { uid: process.getuid?.() ?? null, environment: process.env };
  return {
    imagesFolder,
    ...fromSetup('dockerSocket', process.env['COPPICE_DOCKER_SOCKET'] ?? foundSocket(setup, user)),
    ...fromSetup('bubblewrapProgram', process.env['COPPICE_BWRAP'] ?? setup?.bwrap),
  };
}

/**
 * Ends the commands that still run in a killed stack's sandboxes. Returns the number of sandboxes.
 * @param engine engine in the killed stack's status
 */
export async function endLeftCommands(engine: string, options: { home: Home; imagesFolder: string }): Promise<number> {
  const name = engineNames.find((known) => known === engine);
  if (name === undefined) return 0;
  const { endCommands } = await import('@coppice/container-service');
  return endCommands(name, containerOptions(options));
}

const engineNames = ['docker', 'bubblewrap', 'none'] as const;
const fromSetup = <Name extends string>(name: Name, value: string | null | undefined) =>
  (value === null || value === undefined || value === '' ? {} : { [name]: value }) as { [Key in Name]?: string };
