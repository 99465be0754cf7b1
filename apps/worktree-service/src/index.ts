export { readDiskReport } from './disk/report.ts';
export type { DiskReport } from './disk/report.ts';
export { diskSettingsFrom } from './disk/settings.ts';
export { startWorktreeService } from './service.ts';
export type { WorktreeServiceOptions } from './service.ts';
