import type { CommandHandler } from '@coppice/bus';
import { annotateSpan, attributes } from '@coppice/telemetry';

type Told = { sandboxId?: unknown; image?: unknown; exitCode?: unknown; specification?: Told };

/** Span attributes for the sandbox, image and exit code named in an operation's input or output. Pure. */
function containerAttributes(told: Told): Record<string, string | number> {
  const { sandboxId, image } = told.specification ?? told;
  return {
    ...(typeof sandboxId === 'string' ? { [attributes.containerName]: sandboxId } : {}),
    ...(typeof image === 'string' ? { [attributes.containerImageName]: image } : {}),
    ...(typeof told.exitCode === 'number' ? { [attributes.processExitCode]: told.exitCode } : {}),
  };
}

/** Wraps a handler so that its span carries the engine, sandbox, image and exit code. */
export const withContainerAttributes =
  (engine: string) =>
  (handler: CommandHandler): CommandHandler => ({
    ...handler,
    run: async (input, command) => {
      annotateSpan({ [attributes.containerRuntimeName]: engine, ...containerAttributes(input as Told) });
      const output = await handler.run(input, command);
      annotateSpan(containerAttributes(output as Told));
      return output;
    },
  });
