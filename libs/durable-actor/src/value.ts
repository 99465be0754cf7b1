import { actorIdSchema, tokenSchema } from '@coppice/contracts';
import type { ActorMessage, Outcome, ReplyTo } from '@coppice/contracts';
import { Unrestorable } from './errors.ts';
import type { ParkCode } from './errors.ts';
import { actorLimits } from './limits.ts';
import type { ActorSpans } from './spans.ts';
import type { Step } from './steps.ts';

/**
 * The stored value of an actor, in KV `coppice-actors` under the key `<kind>.<id>`.
 *
 * Invariant 1: one value holds everything, is at most `valueBytesMax`, and is written by compare-and-set on its revision. Invariant 3: `outbox` and `inFlight`
 * are separate lists. An effect is in `inFlight` from its creation until its result arrives. Its message is in `outbox` until it is known to be published. Only
 * items of the outbox are ever published again.
 */
export type ActorValue = {
  format: 1;
  kind: string;
  id: string;
  machine: { version: number; hash: string };
  /** Random id made at creation. Part of every effect id, so that no id is used twice even after a tombstone has expired. */
  incarnation: string;
  /** Number of effects and messages so far. */
  counter: number;
  /** Number of emitted events so far. */
  sequence: number;
  status: 'active' | 'done';
  /** XState's persisted snapshot without its children, which are stored in `inFlight`. Null in a tombstone. */
  snapshot: PersistedMachine | null;
  /** XState's state value: a string, or nested objects. */
  state: unknown;
  output?: unknown;
  /** In a tombstone: the result of the definition's `summary`. */
  summary?: unknown;
  outbox: OutboxItem[];
  inFlight: Record<string, InFlight>;
  /** Effects that have ended since the last event; only in an actor that emits events. */
  steps?: Step[];
  recentMessages: string[];
  deferred: Deferred[];
  /** Stream sequence of the inbox message that this revision was written for. That message is acknowledged after the outbox is published. */
  cause: number;
  /** Set after unparking: the stash must go back into the inbox before the next message is handled. */
  unstash?: true;
  /** Trace context to which the actor's work belongs: see spans.ts. Null without traces. */
  traceparent: string | null;
  /** Only in an actor with its own spans. */
  spans?: ActorSpans;
  createdAtMs: number;
  updatedAtMs: number;
};

export type PersistedMachine = { status: string; value: unknown; context: unknown; historyValue: unknown };

/** A message to publish. The outbox is published in order. */
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
 * An effect whose result is pending. `childId` is the machine's name for the invocation; `sendId` is its name for the timer. `ordered` is set if the actor reports its
 * steps: see steps.ts.
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

/** Name of the effect, and its start by the actor's own clock, in milliseconds since 1970. */
export type Ordered = { what: string; atMs: number };

/** The effect of another actor that waits for the answer to a message; sent in headers. */
export type RequestOrigin = { effectId: string; replyTo: ReplyTo };

export type Deferred = {
  messageId: string;
  event: { type: string };
  answerTo: string | null;
  request: RequestOrigin | null;
};

/** Note on a parked actor. `by` is version and hash of the machine that failed; only a machine with another version or hash tries to restore the actor. */
export type Parked = { code: ParkCode; message: string; parkedAtMs: number; by: string };
export type StoredActor =
  | { type: 'value'; value: ActorValue }
  /** `original` holds the unchanged bytes of the value that was stored before. */
  | { type: 'parked'; parked: Parked; original: Uint8Array };

/** The answer to the sender of an event. */
export type Answer = { answerTo: string; outcome: Outcome };

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });
const newline = 0x0a;
const parkedStart = '{"parked":';

export const actorKey = (kind: string, id: string): string => `${kind}.${id}`;

/** Describes what is wrong with an actor's kind and id; null if they are valid. */
export function faultOfAddress({ kind, id }: ReplyTo): string | null {
  if (!tokenSchema.safeParse(kind).success) return `not an actor's kind: ${kind}`;
  if (!actorIdSchema.safeParse(id).success) return `not an actor's id: ${id}`;
  const { addressLengthMax } = actorLimits;
  return kind.length + id.length <= addressLengthMax
    ? null
    : `an actor's name is longer than ${addressLengthMax}: ${id}`;
}

export const encodeValue = (value: ActorValue): Uint8Array => encoder.encode(JSON.stringify(value));

/** Encodes a parked actor: a line of JSON with the reason, then the unchanged bytes. */
export function encodeParked(parked: Parked, original: Uint8Array): Uint8Array {
  const head = encoder.encode(`${JSON.stringify({ parked })}\n`);
  const bytes = new Uint8Array(head.length + original.length);
  bytes.set(head);
  bytes.set(original, head.length);
  return bytes;
}

/** @throws Unrestorable `corrupt` if the bytes aren't an actor's value */
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

/** Returns the state as one text: `working`, `working.asking` for nested states, `a|b` for parallel states. */
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
