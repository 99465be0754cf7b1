export { startOrchestrator } from './service.ts';
export type { OrchestratorOptions } from './service.ts';
