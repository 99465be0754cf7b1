export { startOrchestrator } from './service.ts';
export type { OrchestratorOptions } from './service.ts';
export { replay } from './agents/loop/replay.ts';
export type { Difference, RecordedTurn, Replay } from './agents/loop/replay.ts';
