import type { Operation, Outcome, ReplyTo } from '@coppice/contracts';
import type { AnyMachineSnapshot, AnyStateMachine, EmittedFrom, EventObject, SnapshotFrom } from 'xstate';
import type { Step } from './steps.ts';
import type { PersistedMachine } from './value.ts';

/** The `input` of a machine when its actor is created. `now` is in milliseconds since 1970. */
export type Birth<Input> = { kind: string; id: string; now: number; input: Input };

/** Field of every event that reaches a machine. `now` is the current time in milliseconds since 1970. */
export type Timed = { now: number };

export type CommandSource = {
  type: 'command';
  operation: Operation;
  pool: (input: unknown, context: unknown) => string;
};

/** An invoke source that sends an event to another actor. That actor answers with the action `answer`. */
export type RequestSource = {
  type: 'request';
  kind: string;
  id: (input: unknown) => string;
  event: (input: unknown, effect: { effectId: string; replyTo: ReplyTo }) => EventObject;
  create: ((input: unknown) => unknown) | null;
  cancel: ((input: unknown, effect: { effectId: string; replyTo: ReplyTo }) => EventObject) | null;
};

export type Source = CommandSource | RequestSource;

export type SendParams = { kind: string; id: string; event: EventObject };
export type CreateParams = { kind: string; id: string; input: unknown; event?: EventObject };
export type AnswerParams = { to: ReplyTo; effectId: string; outcome: Outcome };

/**
 * A named action that sends something. `params` maps the action's own parameters. By default they are used unchanged.
 */
export type OrderingAction =
  | { type: 'send'; params: (params: unknown) => SendParams }
  | { type: 'create'; params: (params: unknown) => CreateParams }
  | { type: 'answer'; params: (params: unknown) => AnswerParams };

/**
 * Policy for an event in a state that doesn't handle it. `refusal` returns the message of the error that the sender
 * gets.
 */
export type EventPolicy = {
  otherwise: 'refuse' | 'defer';
  refusal?: (state: string) => string;
};

/**
 * A state's own policy for an event, set in the state's `meta`. For example, `meta: { events: { approve: 'defer' } }`.
 * An object sets the message of the rejection. The policy of the innermost state applies.
 */
export type StatePolicy = 'refuse' | 'defer' | { refuse: string };

/**
 * Metadata of an emitted event. `sequence` counts the actor's events from 1. `time` is in RFC 3339 format. Publishing
 * again keeps `eventId`. `steps` are the effects that ended since the previous event.
 */
export type Emission = {
  kind: string;
  id: string;
  sequence: number;
  time: string;
  eventId: string;
  steps: readonly Step[];
};

/** Description of an actor's spans (see spans.ts). */
export type SpanDescription = {
  /**
   * Actor whose life span is the parent, in the same trace. If null, the parent is the span in which the actor was
   * created.
   */
  within: { kind: string; id: string } | null;
  /** Name of the current state, from a small set, since span names contain it. Null if states have no spans. */
  state: string | null;
  attributes: Record<string, string>;
  /** State in which the actor ended. An attribute of the life span. */
  end: string;
  /** Failure with which the actor ended. Null if it hasn't failed. */
  failure: { type: string; message: string } | null;
};

export type ActorOptions<Machine extends AnyStateMachine> = {
  /** A single token of subjects and keys. */
  kind: string;
  /**
   * Must be increased whenever the machine's structure changes. An actor that another version stored is parked unless
   * `migrations` leads to this version.
   */
  version: number;
  machine: Machine;
  sources?: Record<string, Source>;
  actions?: Record<string, OrderingAction>;
  /** Maps an emitted event to its subject and CloudEvent. Pure. */
  emitted?: (event: EmittedFrom<Machine>, self: Emission) => { subject: string; data: unknown };
  /** Describes the actor's spans. Only for an actor that belongs to a single trace. Pure. */
  spans?: (snapshot: SnapshotFrom<Machine>) => SpanDescription;
  /** Policies of all events from outside, by event type. */
  events: Record<string, EventPolicy>;
  /** Event types that only the machine itself raises, with or without a delay. */
  internalEvents?: readonly string[];
  /** Returns data that the tombstone keeps in addition to the state and the output. */
  summary?: (snapshot: SnapshotFrom<Machine>) => unknown;
  /** Maps a summary to the state that the error for a rejected event reports. Default: the machine's own state. */
  reportedState?: (summary: never) => string;
  /** Migrations by the version that they start from. Each returns a snapshot for the next version. */
  migrations?: Record<number, (snapshot: PersistedMachine) => PersistedMachine>;
};

export type ActorDefinition = {
  kind: string;
  version: number;
  /** Hash of the machine's states, transitions, delays and invocations. The code of functions isn't part of it. */
  hash: string;
  machine: AnyStateMachine;
  /** Names of the invoked sources by child id. */
  invocations: ReadonlyMap<string, ReadonlySet<string>>;
  sources: Record<string, Source>;
  actions: Record<string, OrderingAction>;
  events: Record<string, EventPolicy>;
  emitted: ((event: EventObject, self: Emission) => { subject: string; data: unknown }) | null;
  spans: ((snapshot: AnyMachineSnapshot) => SpanDescription) | null;
  summary: ((snapshot: AnyMachineSnapshot) => unknown) | null;
  reportedState: ((summary: unknown) => string) | null;
  migrations: Record<number, (snapshot: PersistedMachine) => PersistedMachine>;
};
