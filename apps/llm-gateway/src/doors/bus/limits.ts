import { chatLimits } from '@coppice/contracts';

/** Every limit of the door on the bus that its clients needn't know; the others are in the contract. */
export const busDoorLimits = {
  /** In progress at once; more are told to come again. */
  chatsMax: 1_000,
  /** Of the texts of one chat, what it names by reference included. */
  promptBytesMax: 20 * 1024 * 1024,
  /** Of all chats in progress: this part of what the process may have, but one of the largest always fits. */
  promptsOfHeapMax: 1 / 16,
  /** What one chat sends before it waits until the NATS server has taken it. */
  unflushedBytesMax: 64 * 1024,
  /** Of a message that tells a piece of an answer, what stands around the piece. */
  aroundPieceBytesMax: 8 * 1024,
  /** Whose models all ask to wait for longer is told so at once. */
  patienceMs: 10_000,
  unkeptMsMax: chatLimits.unkeptMsMax,
  /** How often it is looked whose client is gone. */
  sweepMs: 1_000,
  /** How long a stopping gateway lets chats go on. */
  drainMs: 20_000,
} as const;
export type BusDoorLimits = { -readonly [Name in keyof typeof busDoorLimits]: number };
