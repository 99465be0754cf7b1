/** The services of an embedded stack. */
import type { RunningWork, ServiceContext } from '@coppice/service';
import type { Home } from './home.ts';
import { foundSocket, setupResult } from './programs.ts';

export type EngineChoice = 'auto' | 'docker' | 'bubblewrap' | 'none';
export const engineChoices = ['auto', 'docker', 'bubblewrap', 'none'] as const satisfies EngineChoice[];

export type EmbeddedWork = RunningWork & {
  /** Text for the user about the started service. */
  line?: string;
  /** Sandbox engine. */
  engine?: string;
  /** Text that replaces `line` once more is known; null if there is nothing to add. */
  laterLine?: Promise<string | null>;
};

export type EmbeddedService = {
  name: string;
  makesResources?: boolean;
  /** @param say reports to the user what the start waits for */
  start(context: ServiceContext, say: (line: string) => void): Promise<EmbeddedWork>;
};

/**
 * Returns the services. Their code is loaded when they start, since most commands need none of them. They share one data folder, since
 * the container service mounts the worktree service's files.
 */
export function embeddedServices(options: {
  home: Home;
  engine: EngineChoice;
  imagesFolder: string;
  /** See gateway-environment.ts. */
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
        // A user of an embedded stack owns the machine and may use scripts from any folder.
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

/** Returns the locations of engines and images on this machine. */
export function engineSettings(imagesFolder: string) {
  const setup = setupResult();
  const user = { uid: process.getuid?.() ?? null, environment: process.env };
  return {
    imagesFolder,
    ...fromSetup('dockerSocket', process.env['COPPICE_DOCKER_SOCKET'] ?? foundSocket(setup, user)),
    ...fromSetup('bubblewrapProgram', process.env['COPPICE_BWRAP'] ?? setup?.bwrap),
  };
}

/** Ends the commands that a killed stack's sandboxes still run, and returns the number of sandboxes. Only the engine's name is known from that stack. */
export async function endLeftCommands(engine: string, options: { home: Home; imagesFolder: string }): Promise<number> {
  const name = engineNames.find((known) => known === engine);
  if (name === undefined) return 0;
  const { endCommands } = await import('@coppice/container-service');
  return endCommands(name, containerOptions(options));
}

const engineNames = ['docker', 'bubblewrap', 'none'] as const;
const fromSetup = <Name extends string>(name: Name, value: string | null | undefined) =>
  (value === null || value === undefined || value === '' ? {} : { [name]: value }) as { [Key in Name]?: string };
