import type { CommandHandler } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import { comesFromFullDisk, type FullDiskWaits } from '@coppice/disk';

/**
 * Wraps a handler of an idempotent operation. If the disk is full, the command is postponed for some minutes and then fails with
 * `disk-full`. Other operations must not be wrapped: they must not be repeated, since their effects so far are unknown.
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
