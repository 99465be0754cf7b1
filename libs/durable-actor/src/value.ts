import { actorIdSchema, tokenSchema } from '@coppice/contracts';
import type { ActorMessage, Outcome, ReplyTo } from '@coppice/contracts';
import { Unrestorable } from './errors.ts';
import type { ParkCode } from './errors.ts';
import { actorLimits } from './limits.ts';
import type { ActorSpans } from './spans.ts';
import type { Step } from './steps.ts';

/**
 * What an actor is while nobody works on it: one value in KV `coppice-actors`, key `<kind>.<id>`.
 *
 * Invariant 1: one value holds everything, is at most `valueBytesMax`, and is written by compare-and-set on its revision.
 * Invariant 3: `outbox` and `inFlight` are separate lists. Only the outbox is ever dispatched again. An effect is in flight from being
 * ordered until its result; it leaves the outbox when it is known to be published.
 */
export type ActorValue = {
  format: 1;
  kind: string;
  id: string;
  machine: { version: number; hash: string };
  /** Made at birth; part of every effect id, so that no id is used twice even if a tombstone has expired. */
  incarnation: string;
  /** Effects and messages ordered so far. */
  counter: number;
  /** Events emitted so far. */
  sequence: number;
  status: 'active' | 'done';
  /** XState's persisted snapshot without children, which `inFlight` tells; null in a tombstone. */
  snapshot: PersistedMachine | null;
  /** The state, as XState writes it: text, or nested objects. */
  state: unknown;
  output?: unknown;
  /** In a tombstone: what the definition's `summary` kept. */
  summary?: unknown;
  outbox: OutboxItem[];
  inFlight: Record<string, InFlight>;
  /** What was ordered and has ended since the last event; only of an actor that emits. */
  steps?: Step[];
  recentMessages: string[];
  deferred: Deferred[];
  /** Sequence in the inbox stream of the message that this revision was written for. That message is acknowledged after the outbox is dispatched. */
  cause: number;
  /** It was parked: before anything else, its stash goes back into the inbox. */
  unstash?: true;
  /** The context to which what it lives through belongs: see spans.ts. Null without traces. */
  traceparent: string | null;
  /** Only of an actor that has spans of its own. */
  spans?: ActorSpans;
  createdAtMs: number;
  updatedAtMs: number;
};

export type PersistedMachine = { status: string; value: unknown; context: unknown; historyValue: unknown };

/** Something to publish, in order. */
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
      /** The effect that starts with it. */
      request: RequestOrigin | null;
      /** The effect that it calls off. */
      cancels?: string;
    }
  | { type: 'event'; messageId: string; subject: string; data: unknown };

/**
 * An effect whose result is awaited. `childId` is the machine's name for the invocation, `sendId` for the timer. `ordered` is kept where the actor
 * tells its steps: see steps.ts.
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

/** What was ordered, and when by the actor's own clock, in milliseconds since 1970. */
export type Ordered = { what: string; atMs: number };

/** The effect of another actor that a message is to be answered for; travels in headers. */
export type RequestOrigin = { effectId: string; replyTo: ReplyTo };

export type Deferred = {
  messageId: string;
  event: { type: string };
  answerTo: string | null;
  request: RequestOrigin | null;
};

/** `by` is version and hash of the machine that gave up; another one tries again. */
export type Parked = { code: ParkCode; message: string; parkedAtMs: number; by: string };
export type StoredActor =
  | { type: 'value'; value: ActorValue }
  /** `original` is what was stored before, byte for byte. */
  | { type: 'parked'; parked: Parked; original: Uint8Array };

/** What a sender of an event is told. */
export type Answer = { answerTo: string; outcome: Outcome };

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });
const newline = 0x0a;
const parkedStart = '{"parked":';

export const actorKey = (kind: string, id: string): string => `${kind}.${id}`;

/** Null where the two name an actor, else what is wrong with them. */
export function faultOfAddress({ kind, id }: ReplyTo): string | null {
  if (!tokenSchema.safeParse(kind).success) return `not an actor's kind: ${kind}`;
  if (!actorIdSchema.safeParse(id).success) return `not an actor's id: ${id}`;
  const { addressLengthMax } = actorLimits;
  return kind.length + id.length <= addressLengthMax
    ? null
    : `an actor's name is longer than ${addressLengthMax}: ${id}`;
}

export const encodeValue = (value: ActorValue): Uint8Array => encoder.encode(JSON.stringify(value));

/** A parked actor: a line of JSON that says why, then the unchanged bytes. */
export function encodeParked(parked: Parked, original: Uint8Array): Uint8Array {
  const head = encoder.encode(`${JSON.stringify({ parked })}\n`);
  const bytes = new Uint8Array(head.length + original.length);
  bytes.set(head);
  bytes.set(original, head.length);
  return bytes;
}

/** @throws Unrestorable `corrupt` when the bytes aren't an actor's value. */
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

/** The state as one text: `working`, or `working.asking` for nested and `a|b` for parallel ones. */
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
