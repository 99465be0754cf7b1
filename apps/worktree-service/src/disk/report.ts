/** Report on the disk space Coppice uses, as of the last retention round: a file of the data folder, which `coppice doctor` reads. */
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
      /** Null if it could not be measured in time. */
      bytes: z.number().nullable(),
      /** Null for parts without a limit of their own. */
      bytesMax: z.number().nullable(),
      /** RFC 3339. Time from which the age of the part's oldest entry counts: when it was kept or, for a setup, last used. */
      oldest: z.string().nullable(),
    }),
  ),
  /** Kept work that its age limit removes within 14 days, soonest first; at most 50. */
  goesSoon: z.array(z.object({ what: z.string(), at: z.string() })),
});
export type DiskReport = z.infer<typeof reportSchema>;

const fileOf = (folder: string): string => join(folder, 'disk.json');

export const writeReport = (folder: string, report: DiskReport): void =>
  writeFileAtomically(fileOf(folder), JSON.stringify(report));

/** @param dataFolder of the stack. @returns null if there was no round yet, or another version wrote the report */
export function readDiskReport(dataFolder: string): DiskReport | null {
  const file = fileOf(join(dataFolder, serviceName));
  if (!existsSync(file)) return null;
  try {
    return reportSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return null;
  }
}
