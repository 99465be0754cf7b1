import { chatLimits } from '@coppice/contracts';

/** Limits of the bus endpoint that its clients needn't know. Limits that clients must know are in the contract. */
export const busEndpointLimits = {
  /** Concurrent chats. Further chats are rejected with `unavailable`. */
  chatsMax: 1_000,
  /** Bytes of one chat's texts, including artifacts that it references. */
  promptBytesMax: 20 * 1024 * 1024,
  /** Share of the heap limit for the prompts of all chats in progress. At least one prompt of `promptBytesMax` fits. */
  promptsOfHeapMax: 1 / 16,
  /** Bytes that one chat sends before it flushes to the NATS server. */
  unflushedBytesMax: 64 * 1024,
  /** Bytes that a message may have in addition to its piece of the answer. */
  aroundPieceBytesMax: 8 * 1024,
  /** Longest single wait until a model may be tried. A chat whose candidates all need longer is rejected at once. */
  candidateWaitMsMax: 10_000,
  /** Time for which one candidate may wait for budget that calls in flight have reserved. It is counted from the first refusal by a budget. */
  budgetWaitMsMax: 10_000,
  unkeptMsMax: chatLimits.unkeptMsMax,
  /** Interval between checks for chats without `llm.keep`. */
  sweepMs: 1_000,
  /** Time for which a stopping gateway lets chats continue. */
  drainMs: 20_000,
} as const;
export type BusEndpointLimits = { -readonly [Name in keyof typeof busEndpointLimits]: number };
