/**
 * Report on the disk space that Coppice uses, measured by the last retention round. It is a file in the data folder. `coppice doctor` reads
 * it.
 */
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
  /** Missing in reports of earlier versions. */
  inodesFree: z.number().default(0),
  inodesFreeMin: z.number().default(0),
  refusesWork: z.boolean(),
  parts: z.array(
    z.object({
      name: z.enum(diskParts),
      folder: z.string(),
      count: z.int(),
      /** Null if the size could not be measured in time. */
      bytes: z.number().nullable(),
      /** Null if the part has no size limit of its own. */
      bytesMax: z.number().nullable(),
      /** RFC 3339. Time when the part's oldest entry was kept or, for setups, last used. The entry's age counts from this time. */
      oldest: z.string().nullable(),
    }),
  ),
  /** Kept work that will reach its age limit within 14 days and then be removed. At most 50 entries, soonest first. */
  goesSoon: z.array(z.object({ what: z.string(), at: z.string() })),
});
export type DiskReport = z.infer<typeof reportSchema>;

const fileOf = (folder: string): string => join(folder, 'disk.json');

export const writeReport = (folder: string, report: DiskReport): void =>
  writeFileAtomically(fileOf(folder), JSON.stringify(report));

/**
 * @param dataFolder data folder of the stack
 * @returns null if there was no round yet, or if another version wrote the report
 */
export function readDiskReport(dataFolder: string): DiskReport | null {
  const file = fileOf(join(dataFolder, serviceName));
  if (!existsSync(file)) return null;
  try {
    return reportSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return null;
  }
}
