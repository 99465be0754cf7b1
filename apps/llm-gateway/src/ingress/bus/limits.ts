import { chatLimits } from '@coppice/contracts';

/** Limits of the bus endpoint that its clients needn't know; the others are in the contract. */
export const busEndpointLimits = {
  /** Chats in progress; more are rejected with `unavailable`. */
  chatsMax: 1_000,
  /** Bytes of one chat's texts, including artifacts that it references. */
  promptBytesMax: 20 * 1024 * 1024,
  /** Share of the heap limit for the prompts of all chats in progress. At least one of `promptBytesMax` fits. */
  promptsOfHeapMax: 1 / 16,
  /** Bytes that one chat sends before it flushes to the NATS server. */
  unflushedBytesMax: 64 * 1024,
  /** Bytes of a message in addition to its piece of the answer. */
  aroundPieceBytesMax: 8 * 1024,
  /** Longest single wait until a model may be tried. A chat whose candidates all need longer is rejected at once. */
  candidateWaitMsMax: 10_000,
  /** Time that a model may wait for budget that calls in flight have reserved, counted from its first refusal. */
  budgetWaitMsMax: 10_000,
  unkeptMsMax: chatLimits.unkeptMsMax,
  /** Interval between checks for clients that are gone. */
  sweepMs: 1_000,
  /** How long a stopping gateway lets chats continue. */
  drainMs: 20_000,
} as const;
export type BusEndpointLimits = { -readonly [Name in keyof typeof busEndpointLimits]: number };
