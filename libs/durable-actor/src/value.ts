import { actorIdSchema, tokenSchema } from '@coppice/contracts';
import type { ActorMessage, Outcome, ReplyTo } from '@coppice/contracts';
import { Unrestorable } from './errors.ts';
import type { ParkCode } from './errors.ts';
import { actorLimits } from './limits.ts';
import type { ActorSpans } from './spans.ts';
import type { Step } from './steps.ts';

/**
 * The stored value of an actor, in the KV bucket `coppice-actors` under the key `<kind>.<id>`.
 *
 * Invariant 1: one value holds everything that is stored about an actor, in at most `valueBytesMax` bytes.
 * Invariant 3: an effect is in `inFlight` from its creation until its result arrives. Its message is in `outbox` until
 * the message is known to be published. Only items of the outbox are published again.
 */
export type ActorValue = {
  format: 1;
  kind: string;
  id: string;
  machine: { version: number; hash: string };
  /**
   * Random id made at creation. It is part of every effect id, so effect ids stay unique after a tombstone has expired.
   */
  incarnation: string;
  counter: number;
  sequence: number;
  status: 'active' | 'done';
  /** XState's persisted snapshot without children, which are restored from `inFlight`. Null in a tombstone. */
  snapshot: PersistedMachine | null;
  /** XState's state value: a string, or nested objects. */
  state: unknown;
  output?: unknown;
  /** Result of the definition's `summary`. Set only in a tombstone. */
  summary?: unknown;
  outbox: OutboxItem[];
  inFlight: Record<string, InFlight>;
  /** Effects that have ended since the last event. Set only if the actor emits events. */
  steps?: Step[];
  recentMessages: string[];
  deferred: Deferred[];
  /** Stream sequence of the inbox message that caused the last transition. */
  cause: number;
  /** Set by unparking. The stash must go back into the inbox before the next message is handled. */
  unstash?: true;
  /** Trace context of the actor's work (see spans.ts). Null if tracing is off. */
  traceparent: string | null;
  spans?: ActorSpans;
  createdAtMs: number;
  updatedAtMs: number;
};

export type PersistedMachine = { status: string; value: unknown; context: unknown; historyValue: unknown };

/** An operation on the bus. The items of an outbox are published in order. */
export type OutboxItem =
  | { type: 'command'; effectId: string; subject: string; input: unknown; issuedAt: string }
  | { type: 'timer'; effectId: string; atMs: number }
  | { type: 'cancel-timer'; effectId: string }
  | { type: 'cancel-command'; effectId: string }
  | {
      type: 'message';
      messageId: string;
      to: ReplyTo;
      message: ActorMessage;
      /** The effect that this message starts. */
      request: RequestOrigin | null;
      /** The effect that this message cancels. */
      cancels?: string;
    }
  | { type: 'event'; messageId: string; subject: string; data: unknown };

/**
 * An effect whose result is pending. `childId` is the machine's name for an invocation, and `sendId` is its name for a
 * timer. `ordered` is set if the actor reports steps (see steps.ts).
 */
export type InFlight =
  | { type: 'command'; childId: string; source: string; ordered?: Ordered }
  | {
      type: 'request';
      childId: string;
      source: string;
      to: ReplyTo;
      cancel: { type: string } | null;
      ordered?: Ordered;
    }
  | { type: 'timer'; sendId: string; atMs: number; event: { type: string } };

/** The name of an effect for its step, and the effect's start in milliseconds since 1970. */
export type Ordered = { what: string; atMs: number };

/** The effect that waits for the answer to a message, and the actor of that effect. Sent in headers. */
export type RequestOrigin = { effectId: string; replyTo: ReplyTo };

export type Deferred = {
  messageId: string;
  event: { type: string };
  answerTo: string | null;
  request: RequestOrigin | null;
};

/**
 * Note on a parked actor. `by` is the version and hash of the machine that parked the actor. Only a machine with
 * another version or hash tries to restore the actor.
 */
export type Parked = { code: ParkCode; message: string; parkedAtMs: number; by: string };
export type StoredActor =
  | { type: 'value'; value: ActorValue }
  /** `original` contains the unchanged bytes of the value that was stored before the actor was parked. */
  | { type: 'parked'; parked: Parked; original: Uint8Array };

export type Answer = { answerTo: string; outcome: Outcome };

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });
const newline = 0x0a;
const parkedStart = '{"parked":';

export const actorKey = (kind: string, id: string): string => `${kind}.${id}`;

/** Returns the reason why an actor's kind or id is invalid. Null if both are valid. */
export function faultOfAddress({ kind, id }: ReplyTo): string | null {
  if (!tokenSchema.safeParse(kind).success) return `not an actor's kind: ${kind}`;
  if (!actorIdSchema.safeParse(id).success) return `not an actor's id: ${id}`;
  const { addressLengthMax } = actorLimits;
  return kind.length + id.length <= addressLengthMax
    ? null
    : `an actor's name is longer than ${addressLengthMax}: ${id}`;
}

export const encodeValue = (value: ActorValue): Uint8Array => encoder.encode(JSON.stringify(value));

/** Encodes a parked actor as a line of JSON with the note, followed by the unchanged bytes. */
export function encodeParked(parked: Parked, original: Uint8Array): Uint8Array {
  const head = encoder.encode(`${JSON.stringify({ parked })}\n`);
  const bytes = new Uint8Array(head.length + original.length);
  bytes.set(head);
  bytes.set(original, head.length);
  return bytes;
}

/** @throws Unrestorable with the code `corrupt` if the bytes aren't an actor's value */
export function decodeStored(bytes: Uint8Array): StoredActor {
  try {
    const start = decoder.decode(bytes.subarray(0, parkedStart.length));
    if (start === parkedStart) {
      const end = bytes.indexOf(newline);
      const head = JSON.parse(decoder.decode(bytes.subarray(0, end))) as { parked: Parked };
      return { type: 'parked', parked: head.parked, original: bytes.slice(end + 1) };
    }
    const value = JSON.parse(decoder.decode(bytes)) as ActorValue;
    if (value.format !== 1 || !Array.isArray(value.outbox) || typeof value.inFlight !== 'object') {
      throw new Error('not the format of an actor');
    }
    return { type: 'value', value };
  } catch (error) {
    throw new Unrestorable('corrupt', `the stored bytes can't be read: ${(error as Error).message}`, error);
  }
}

/** Returns the state as text. A nested state is `working.asking`. Parallel states are `a|b`. */
export function stateText(state: unknown): string {
  if (typeof state === 'string') return state;
  if (state === null || typeof state !== 'object') return '';
  return Object.entries(state)
    .map(([name, inner]) => {
      const text = stateText(inner);
      return text === '' ? name : `${name}.${text}`;
    })
    .join('|');
}
