import { CoppiceError } from '@coppice/contracts';
import type { Context } from '../context.ts';
import type { DiskReport } from './report.ts';
import { bytesText, shortageText, spaceOf, type Space } from './space.ts';

/** @throws CoppiceError `disk-full` if the free space or the free inodes are below the minimum */
export async function requireRoom(context: Context, report: DiskReport | null): Promise<void> {
  const space = await spaceOf(context.layout.root, context.disk.freeBytesMin);
  if (space.isLow) throw diskFull(context, space, report);
}

/** Builds the error for the person who has to free space. `report` is the last measurement of what uses the space. */
export function diskFull(context: Context, space: Space, report: DiskReport | null, cause?: unknown): CoppiceError {
  const { root, rescue } = context.layout;
  const uses = (report?.parts ?? [])
    .filter(({ bytes }) => bytes !== null && bytes > 0)
    .map(({ name, bytes, folder }) => `${name} ${bytesText(bytes ?? 0)} (${folder})`);
  const message = [
    `the disk of ${root} on ${context.node} has ${shortageText(space)}`,
    uses.length === 0 ? null : `Coppice uses: ${uses.join(', ')}`,
    `to free it, delete folders in ${rescue} that you don't need and other files of that disk, or lower COPPICE_RESCUE_MIB and COPPICE_SETUPS_MIB`,
  ];
  const { freeBytes, freeBytesMin, inodesFree, inodesFreeMin } = space;
  return new CoppiceError('disk-full', message.filter((part) => part !== null).join('; '), {
    cause,
    details: { node: context.node, folder: root, freeBytes, freeBytesMin, inodesFree, inodesFreeMin },
  });
}
