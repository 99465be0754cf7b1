import type { CommandHandler } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import { comesFromFullDisk, type FullDiskWaits } from '@coppice/service';

/**
 * The same handler, which waits for a full disk: the command is postponed for minutes and then fails with `disk-full`. Only of operations that may be
 * repeated: of any other it isn't known what was done.
 */
export const withFullDisk =
  (folder: string, waits: FullDiskWaits) =>
  (handler: CommandHandler): CommandHandler =>
    handler.operation.repeat.kind !== 'idempotent'
      ? handler
      : {
          ...handler,
          run: async (input, command) => {
            try {
              return await handler.run(input, command);
            } catch (error) {
              if (!(await comesFromFullDisk(error, folder))) throw error;
              const said = error instanceof Error ? error.message : String(error);
              const text = `the disk of ${folder} is full: ${said}`;
              throw waits.postponed(command.effectId, new CoppiceError('disk-full', text, { cause: error }));
            }
          },
        };
