/**
 * Report on the disk space that Coppice uses. Each retention round writes it to a file in the data folder, and `coppice
 * doctor` reads it.
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
      /** Time (RFC 3339) from which the age of the part's oldest entry counts. For setups, this is the last use. */
      oldest: z.string().nullable(),
    }),
  ),
  /** Kept work that will reach its age limit within 14 days. At most 50 entries, soonest first. */
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
