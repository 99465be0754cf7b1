export { startFaultyUpstream } from './server.ts';
export type { FaultyRequest, FaultyUpstream, FaultyUpstreamSettings } from './server.ts';
export { faultNames, faultsHelp } from './faults.ts';
export type { FaultName } from './faults.ts';
export { answerText, answerUsage } from './answer.ts';
