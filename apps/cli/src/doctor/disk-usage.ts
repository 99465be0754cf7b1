/** Check of the local stack's disk usage, which its last retention run measured. */
import type { DiskReport } from '@coppice/worktree-service';
import type { Home } from '../stack/home.ts';
import { fault, ok, warning } from './check.ts';
import type { Check } from './check.ts';

const name = 'kept on disk';
const namedMax = 5;
const gibibyte = 1024 ** 3;
const sizeText = (bytes: number): string => `${(bytes / gibibyte).toFixed(1)} GiB`;

export async function checkDiskUsage(home: Home): Promise<Check> {
  const { readDiskReport } = await import('@coppice/worktree-service');
  return ofReport(readDiskReport(home.dataFolder));
}

export function ofReport(report: DiskReport | null): Check {
  if (report === null) return ok(name, 'not measured yet; a running stack measures it every 15 minutes');
  const parts = report.parts.map(({ name: part, count, bytes, bytesMax }) => {
    const size = bytes === null ? 'of unknown size' : sizeText(bytes);
    return `${part} ${size}${bytesMax === null ? '' : ` of at most ${sizeText(bytesMax)}`} (${count})`;
  });
  const found = `${parts.join(', ')}; measured ${report.measuredAt}`;
  const folderOf = (part: string) => report.parts.find((each) => each.name === part)?.folder ?? report.folder;
  if (report.refusesWork) {
    const { freeBytes, freeBytesMin, inodesFree, inodesFreeMin } = report;
    const isSpace = freeBytes < freeBytesMin || inodesFree >= inodesFreeMin;
    const shortage = isSpace
      ? `${sizeText(freeBytes)} are free, and ${sizeText(freeBytesMin)} are kept free`
      : `${inodesFree} inodes are free, and ${inodesFreeMin} are kept free (each file takes one)`;
    const space = `new work is refused: ${shortage}`;
    const fix = `delete folders in ${folderOf('kept-folders')} that you don't need and other files of that disk; or set COPPICE_RESCUE_MIB, COPPICE_SETUPS_MIB or COPPICE_DISK_FREE_MIB lower, then coppice down, coppice up`;
    return fault(name, `${space}; ${found}`, fix);
  }
  const soon = report.goesSoon.slice(0, namedMax).map(({ what, at }) => `${what} on ${at.slice(0, 10)}`);
  if (soon.length === 0) return ok(name, found);
  const more = report.goesSoon.length > soon.length ? ` and ${report.goesSoon.length - soon.length} more` : '';
  const fix = `get what you need of the work that will be deleted (coppice pull, or git fetch GIT-DIRECTORY REF): ${soon.join('; ')}${more}`;
  return warning(name, found, fix);
}
