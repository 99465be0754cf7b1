import type { Operation, Outcome, ReplyTo } from '@coppice/contracts';
import type { AnyMachineSnapshot, AnyStateMachine, EmittedFrom, EventObject, SnapshotFrom } from 'xstate';
import type { Step } from './steps.ts';
import type { PersistedMachine } from './value.ts';

/** What a machine's `input` is at birth. Time comes in from outside: `now` is milliseconds since 1970. */
export type Birth<Input> = { kind: string; id: string; now: number; input: Input };

/** What every event that reaches a machine carries beside its own fields: when it is applied, in milliseconds since 1970. */
export type Timed = { now: number };

/** An invoke source that is a command to a service. */
export type CommandSource = {
  type: 'command';
  operation: Operation;
  pool: (input: unknown, context: unknown) => string;
};

/** An invoke source that is an event to another durable actor, which answers it by the action `answer`. */
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

/** A named action of a machine that orders something. `params` maps the machine's own parameters, by default they are taken as they are. */
export type OrderingAction =
  | { type: 'send'; params: (params: unknown) => SendParams }
  | { type: 'create'; params: (params: unknown) => CreateParams }
  | { type: 'answer'; params: (params: unknown) => AnswerParams };

/** What happens to an event in a state that doesn't handle it. `refusal` is the sentence that the sender is told. */
export type EventPolicy = {
  otherwise: 'refuse' | 'defer';
  refusal?: (state: string) => string;
};

/**
 * A state may say otherwise for single events, in its `meta`: `meta: { events: { approve: 'defer' } }`, or a sentence to refuse with:
 * `{ approve: { refuse: 'The task is already landing' } }`. The innermost state counts.
 */
export type StatePolicy = 'refuse' | 'defer' | { refuse: string };

/**
 * An emitted event's place in the actor's own sequence, which starts at 1. `time` is RFC 3339; `eventId` is the same on each repeat; `steps` is what the
 * actor ordered and got since the event before.
 */
export type Emission = {
  kind: string;
  id: string;
  sequence: number;
  time: string;
  eventId: string;
  steps: readonly Step[];
};

/** What the spans of an actor tell: see spans.ts. */
export type SpanDescription = {
  /** The actor of whose life this one's is a part, in the same trace; null for whoever had it made. */
  within: { kind: string; id: string } | null;
  /** The present state as a name of few; null for an actor whose states have no spans. */
  state: string | null;
  /** On each of its spans. */
  attributes: Record<string, string>;
  /** What it has ended as, told on its life's span. */
  end: string;
  /** How it has failed, once it has ended so. */
  failure: { type: string; message: string } | null;
};

export type ActorOptions<Machine extends AnyStateMachine> = {
  /** One token: part of subjects and keys. */
  kind: string;
  /** To be raised whenever the machine's structure changes; a stored actor of another version without a migration is parked. */
  version: number;
  machine: Machine;
  sources?: Record<string, Source>;
  actions?: Record<string, OrderingAction>;
  /** The subject and CloudEvent of an event that the machine emits. Pure. */
  emitted?: (event: EmittedFrom<Machine>, self: Emission) => { subject: string; data: unknown };
  /** For an actor that belongs to one trace alone: its life and its states become spans. Pure. */
  spans?: (snapshot: SnapshotFrom<Machine>) => SpanDescription;
  /** Every event that comes from outside. */
  events: Record<string, EventPolicy>;
  /** Event types that only the machine raises itself (delayed ones too). */
  internalEvents?: readonly string[];
  /** What a finished actor's tombstone keeps beside its state and output. */
  summary?: (snapshot: SnapshotFrom<Machine>) => unknown;
  /** Of what `summary` keeps: the state by the name that whoever is refused knows it by. By default the machine's own. */
  stateTold?: (summary: never) => string;
  /** By the version that they start from: the snapshot that the next version can restore. */
  migrations?: Record<number, (snapshot: PersistedMachine) => PersistedMachine>;
};

/** A checked definition, as `startActorHost` takes it. */
export type ActorDefinition = {
  kind: string;
  version: number;
  /** Of the machine's structure: states, transitions, delays and invocations; not of the code of its functions. */
  hash: string;
  machine: AnyStateMachine;
  /** Child id → source name, of every invoke. */
  invocations: ReadonlyMap<string, ReadonlySet<string>>;
  sources: Record<string, Source>;
  actions: Record<string, OrderingAction>;
  events: Record<string, EventPolicy>;
  emitted: ((event: EventObject, self: Emission) => { subject: string; data: unknown }) | null;
  spans: ((snapshot: AnyMachineSnapshot) => SpanDescription) | null;
  summary: ((snapshot: AnyMachineSnapshot) => unknown) | null;
  stateTold: ((summary: unknown) => string) | null;
  migrations: Record<number, (snapshot: PersistedMachine) => PersistedMachine>;
};
