import type { CommandHandler } from '@coppice/bus';
import { CoppiceError, worktreeOperations as operations } from '@coppice/contracts';
import type { FullDiskWaits } from '@coppice/disk';
import { comesFromFullDisk } from '@coppice/disk';
import type { Context } from '../context.ts';
import type { Retention } from './retention.ts';
import { diskFull, requireRoom } from './room.ts';
import { spaceOf } from './space.ts';

/** Operations that start new work. All other operations bring a task closer to its end, which frees space. */
const beginning: ReadonlySet<string> = new Set([
  operations.prepare.name,
  operations.resolveSetup.name,
  operations.prepareSetup.name,
]);

/**
 * Wraps handlers. A command that fails because the disk is full is retried for some minutes, and then fails with
 * `disk-full`. Operations that start new work are also postponed while the disk is low on space.
 */
export function withFullDisk(
  context: Context,
  retention: Pick<Retention, 'report' | 'request'>,
  waits: FullDiskWaits,
): (handler: CommandHandler) => CommandHandler {
  const explained = async (error: unknown): Promise<CoppiceError> => {
    if (error instanceof CoppiceError && error.code === 'disk-full') return error;
    const space = await spaceOf(context.layout.root, context.disk.freeBytesMin);
    if (space.isLow) return diskFull(context, space, retention.report, error);
    // A quota is used up, or another disk is full, such as the disk of the user's repository.
    const said = error instanceof Error ? error.message : String(error);
    return new CoppiceError('disk-full', `a disk or a quota is full: ${said}`, { cause: error });
  };
  return (handler) => ({
    ...handler,
    run: async (input, command) => {
      try {
        if (beginning.has(handler.operation.name)) await requireRoom(context, retention.report);
        return await handler.run(input, command);
      } catch (error) {
        if (!(await comesFromFullDisk(error, context.layout.root))) throw error;
        retention.request();
        throw waits.postponed(command.effectId, await explained(error));
      }
    },
  });
}
