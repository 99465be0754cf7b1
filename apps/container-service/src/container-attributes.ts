import type { CommandHandler } from '@coppice/bus';
import { annotateSpan, attributes } from '@coppice/telemetry';

type Fields = { sandboxId?: unknown; image?: unknown; exitCode?: unknown; specification?: Fields };

function containerAttributes(fields: Fields): Record<string, string | number> {
  const { sandboxId, image } = fields.specification ?? fields;
  return {
    ...(typeof sandboxId === 'string' ? { [attributes.containerName]: sandboxId } : {}),
    ...(typeof image === 'string' ? { [attributes.containerImageName]: image } : {}),
    ...(typeof fields.exitCode === 'number' ? { [attributes.processExitCode]: fields.exitCode } : {}),
  };
}

/** Adds the engine, sandbox, image and exit code to the span in which the handler runs. */
export const withContainerAttributes =
  (engine: string) =>
  (handler: CommandHandler): CommandHandler => ({
    ...handler,
    run: async (input, command) => {
      annotateSpan({ [attributes.containerRuntimeName]: engine, ...containerAttributes(input as Fields) });
      const output = await handler.run(input, command);
      annotateSpan(containerAttributes(output as Fields));
      return output;
    },
  });
