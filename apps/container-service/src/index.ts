export { startContainerService, summaryOf } from './service.ts';
export type { ContainerServiceOptions, ContainerWork } from './service.ts';
export { endCommands } from './end-commands.ts';
export { chooseEngine, engineChoices } from './choose-engine.ts';
export type { EngineChoice, EngineSettings } from './choose-engine.ts';
export type { Enforceable, Enforcement, Engine, EngineName, EngineReport } from './engine/port.ts';
