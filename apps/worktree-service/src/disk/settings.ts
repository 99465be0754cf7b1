import { integerVariable, readConfiguration } from '@coppice/service';
import { z } from 'zod';

const mebibyte = 1024 ** 2;
const dayMs = 24 * 3_600_000;

/** Limits of the data that is kept on the disk after tasks end. Sizes are in allocated bytes, ages in milliseconds. */
export type DiskSettings = {
  /** Free bytes below which new work is rejected. Null for the default, which depends on the file system's size. */
  freeBytesMin: number | null;
  /** Total size of rescued commits and kept folders. */
  rescueBytesMax: number;
  /** Age limit of rescued commits, kept folders, and other refs with the only copy of work. */
  rescueAgeMsMax: number;
  setupsBytesMax: number;
  /** Maximum time since a sealed setup was last used. */
  setupsAgeMsMax: number;
};

export const diskSettingsDefault: DiskSettings = {
  freeBytesMin: null,
  rescueBytesMax: 50 * 1024 * mebibyte,
  rescueAgeMsMax: 90 * dayMs,
  setupsBytesMax: 20 * 1024 * mebibyte,
  setupsAgeMsMax: 30 * dayMs,
};

const mebibytes = integerVariable({ min: 0, max: 1024 ** 3 }).transform((count) => count * mebibyte);
const days = integerVariable({ min: 1, max: 36_500 }).transform((count) => count * dayMs);

export const diskVariables = {
  COPPICE_DISK_FREE_MIB: mebibytes.optional(),
  COPPICE_RESCUE_MIB: mebibytes.default(diskSettingsDefault.rescueBytesMax),
  COPPICE_RESCUE_DAYS: days.default(diskSettingsDefault.rescueAgeMsMax),
  COPPICE_SETUPS_MIB: mebibytes.default(diskSettingsDefault.setupsBytesMax),
  COPPICE_SETUPS_DAYS: days.default(diskSettingsDefault.setupsAgeMsMax),
};
type DiskConfiguration = z.output<z.ZodObject<typeof diskVariables>>;

export const diskSettings = (configuration: DiskConfiguration): DiskSettings => ({
  freeBytesMin: configuration.COPPICE_DISK_FREE_MIB ?? null,
  rescueBytesMax: configuration.COPPICE_RESCUE_MIB,
  rescueAgeMsMax: configuration.COPPICE_RESCUE_DAYS,
  setupsBytesMax: configuration.COPPICE_SETUPS_MIB,
  setupsAgeMsMax: configuration.COPPICE_SETUPS_DAYS,
});

/** @throws ConfigurationError */
export const diskSettingsFrom = (environment: NodeJS.ProcessEnv): DiskSettings =>
  diskSettings(readConfiguration(z.object(diskVariables), environment));
