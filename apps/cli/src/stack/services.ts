/** The services that an embedded stack is made of, in the order in which they start. */
import path from 'node:path';
import type { RunningWork, ServiceContext } from '@coppice/service';
import type { Home } from './home.ts';

export type EngineChoice = 'auto' | 'docker' | 'bubblewrap' | 'none';
export const engineChoices = ['auto', 'docker', 'bubblewrap', 'none'] as const satisfies EngineChoice[];

export type EmbeddedWork = RunningWork & {
  /** What a person should know of it. */
  line?: string;
  /** Of the sandboxes. */
  engine?: string;
};

export type EmbeddedService = { name: string; start(context: ServiceContext): Promise<EmbeddedWork> };

/** Loaded when they start: most commands need none of them. */
export function embeddedServices({ home }: { home: Home; engine: EngineChoice }): EmbeddedService[] {
  return [
    {
      name: 'worktree-service',
      start: async (context) => {
        const { startWorktreeService } = await import('@coppice/worktree-service');
        return startWorktreeService(context, { dataFolder: path.join(home.dataFolder, 'worktree-service') });
      },
    },
    {
      name: 'llm-gateway',
      start: async (context) => {
        const { startLlmGateway } = await import('@coppice/llm-gateway');
        // Whoever submits to an embedded stack owns the machine.
        return startLlmGateway(context, { scriptsAnywhere: true });
      },
    },
    {
      name: 'orchestrator',
      start: async (context) => {
        const { startOrchestrator } = await import('@coppice/orchestrator');
        return startOrchestrator(context);
      },
    },
  ];
}
