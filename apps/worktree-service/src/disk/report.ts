/** What Coppice keeps on a disk, as the last round of retention found it: a file of the data folder, which `coppice doctor` reads. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { serviceName } from '../service-name.ts';
import { writeFileAtomically } from '../worktree/snapshot.ts';

const diskParts = ['kept-folders', 'rescued-commits', 'setups', 'repositories', 'worktrees', 'trash'] as const;

const reportSchema = z.object({
  /** RFC 3339. */
  measuredAt: z.string(),
  folder: z.string(),
  freeBytes: z.number(),
  freeBytesMin: z.number(),
  totalBytes: z.number(),
  /** Missing in a report of an earlier version. */
  inodesFree: z.number().default(0),
  inodesFreeMin: z.number().default(0),
  refusesWork: z.boolean(),
  parts: z.array(
    z.object({
      name: z.enum(diskParts),
      folder: z.string(),
      count: z.int(),
      /** Null where it could not be measured in time. */
      bytes: z.number().nullable(),
      /** Null for what has no bound of its own. */
      bytesMax: z.number().nullable(),
      /** RFC 3339; of the kept folder, rescued commit or setup that goes next by age. */
      oldest: z.string().nullable(),
    }),
  ),
  /** Work that is kept and goes by age within 14 days, the next first; at most 50. */
  goesSoon: z.array(z.object({ what: z.string(), at: z.string() })),
});
export type DiskReport = z.infer<typeof reportSchema>;

const fileOf = (folder: string): string => join(folder, 'disk.json');

export const writeReport = (folder: string, report: DiskReport): void =>
  writeFileAtomically(fileOf(folder), JSON.stringify(report));

/** @param dataFolder the stack's; null where no round has been yet, or by another version */
export function readDiskReport(dataFolder: string): DiskReport | null {
  const file = fileOf(join(dataFolder, serviceName));
  if (!existsSync(file)) return null;
  try {
    return reportSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return null;
  }
}
