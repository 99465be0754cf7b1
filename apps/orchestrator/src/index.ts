export { startOrchestrator } from './service.ts';
export type { OrchestratorOptions } from './service.ts';
export { replay } from './agent/replay.ts';
export type { Difference, RecordedTurn, Replay } from './agent/replay.ts';
