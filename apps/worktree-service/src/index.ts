export { startWorktreeService } from './service.ts';
export type { WorktreeServiceOptions } from './service.ts';
