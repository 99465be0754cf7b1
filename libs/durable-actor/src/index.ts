export { defineActor } from './define-actor.ts';
export type {
  ActorDefinition,
  ActorOptions,
  AnswerParams,
  Birth,
  CreateParams,
  Emission,
  EventPolicy,
  SendParams,
  SpanDescription,
  StatePolicy,
  Timed,
} from './definition.ts';
export { answer, command, create, effect, ordered, request, send } from './sources.ts';
export { failureOf, isEffectFailed } from './effect-events.ts';
export type { EffectDone, EffectFailed } from './effect-events.ts';
export { eventMatrix } from './event-matrix.ts';
export type { MatrixEntry } from './event-matrix.ts';
export { startActorHost } from './host.ts';
export type { ActorHost, ActorHostOptions } from './host.ts';
export { createActor, listActors, readActor, sendEvent } from './client.ts';
export type { ActorView, Address, Sent } from './client.ts';
export type { Step } from './steps.ts';
export { TransitionFailed, Unrestorable, UnsupportedMachine } from './errors.ts';
export type { ParkCode } from './errors.ts';
export { actorLimits, hostLimits } from './limits.ts';
export type { HostLimits } from './limits.ts';
export type { Clock, OnStored, StoredChange } from './host-parts.ts';
export type { Census } from './census.ts';
export type { CrashPoint, Reach } from './crash-points.ts';
