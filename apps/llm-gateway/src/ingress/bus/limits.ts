import { chatLimits } from '@coppice/contracts';

/** Limits of the bus endpoint. Limits that clients must know are in the contract (`chatLimits`). */
export const busEndpointLimits = {
  /** Maximum number of concurrent chats. */
  chatsMax: 1_000,
  /** Limit for the texts of one chat, including the artifacts that the chat references. */
  promptBytesMax: 20 * 1024 * 1024,
  /** Share of the heap limit that the prompts of all chats together may use, but never less than `promptBytesMax`. */
  promptsOfHeapMax: 1 / 16,
  /** Bytes that a chat sends before it waits until the NATS server has received them. */
  unflushedBytesMax: 64 * 1024,
  /** Bytes of a message that are reserved for everything except its piece of the answer. */
  aroundPieceBytesMax: 8 * 1024,
  /**
   * Longest single wait until a candidate may be tried. If each candidate needs a longer wait, the chat fails at once.
   */
  candidateWaitMsMax: 10_000,
  /**
   * Longest time for which a candidate waits for budget that other calls have reserved. The time starts at the first
   * refusal by a budget.
   */
  budgetWaitMsMax: 10_000,
  unkeptMsMax: chatLimits.unkeptMsMax,
  /** Interval between checks for chats without `llm.keep`. */
  sweepMs: 1_000,
  /** Longest time for which a stopping gateway waits for chats to finish. */
  drainMs: 20_000,
} as const;
export type BusEndpointLimits = { -readonly [Name in keyof typeof busEndpointLimits]: number };
