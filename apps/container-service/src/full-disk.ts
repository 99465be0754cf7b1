import type { CommandHandler } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import { comesFromFullDisk, type FullDiskWaits } from '@coppice/disk';

/**
 * Wraps a handler. If the disk is full, an idempotent command is postponed for some minutes and then fails with
 * `disk-full`. Other operations are not wrapped, since they must not be repeated.
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
