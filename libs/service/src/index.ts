export { Admission } from './admission.ts';
export type { AdmissionSettings, Claim, Release } from './admission.ts';
export { busVariables, connectionFrom, nkeyCredentialsSchema } from './bus-connection.ts';
export type { BusConnection, NkeyCredentials } from './bus-connection.ts';
export { systemClock } from './clock.ts';
export type { Clock } from './clock.ts';
export {
  commonVariables,
  flagVariable,
  integerVariable,
  nodeNameOfHost,
  pathListVariable,
  readConfiguration,
} from './configuration.ts';
export type { CommonConfiguration } from './configuration.ts';
export { askDurability } from './durability.ts';
export type { Durability } from './durability.ts';
export { ConfigurationError, exitCodeFor } from './errors.ts';
export { exitCodes } from './exit-codes.ts';
export { startHealthServer } from './health.ts';
export type { HealthProbes, HealthServer } from './health.ts';
export { retry } from './retry.ts';
export { runService } from './run-service.ts';
export type { ServiceDefinition } from './run-service.ts';
export { isRoot, sandboxUser, sandboxVariables, userExists } from './sandbox-user.ts';
export { serviceLimits, startService } from './start-service.ts';
export type { RunningWork, ServiceContext, ServiceSettings, StartedService } from './start-service.ts';
export { StepBudget } from './step-budget.ts';
export { isAtLeast, parseVersion } from './versions.ts';
