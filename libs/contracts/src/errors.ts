import { z } from 'zod';

/**
 * Every error code that crosses the wire. `retryable` is the default for the code: the same request, sent again later, may succeed.
 * A code is never renamed or reused once published.
 */
export const errorCodes = {
  /** The message isn't JSON, or doesn't match its schema. `details.issues` names each field. */
  'invalid-request': { retryable: false },
  /** What the request names doesn't exist. */
  'not-found': { retryable: false },
  /** The thing is in a state that doesn't allow this. */
  conflict: { retryable: false },
  /** The same identity was used before with other content. */
  'already-exists': { retryable: false },
  /** The caller may not do this. */
  'permission-denied': { retryable: false },
  /** A fixed limit was exceeded; the message names limit and value. */
  'limit-exceeded': { retryable: false },
  /** Nobody serves this right now. */
  unavailable: { retryable: true },
  /** The answer didn't come in time. It may still be at work. */
  'deadline-exceeded': { retryable: true },
  /** The work was cancelled before it ended. */
  cancelled: { retryable: false },
  /** It is not known whether the effect happened: its executor was lost in the middle. */
  unknown: { retryable: false },
  /** A defect, or a failure nobody foresaw. */
  internal: { retryable: true },
  /** Given up on after too many deliveries. */
  'delivery-limit': { retryable: false },
  /** Older than the age at which a message may still be acted on. */
  expired: { retryable: false },

  'repository-not-found': { retryable: false },
  'branch-not-found': { retryable: false },
  /** Git failed in a way that has no code of its own. */
  'git-failed': { retryable: true },
  /** Lost a race for a lock or a ref too often. */
  'git-contention': { retryable: true },
  /** The working tree holds something that may not be imported; the message names the path and why. */
  'import-refused': { retryable: false },
  /** The target can't be written by this stack (a rejected push, a missing right). */
  'landing-refused': { retryable: false },

  'image-not-found': { retryable: false },
  /** No sandbox engine works here, or the working one doesn't enforce what the task requires. */
  'engine-unavailable': { retryable: false },
  'sandbox-not-found': { retryable: false },
  'sandbox-refused': { retryable: false },
  'sandbox-failed': { retryable: true },

  'model-not-found': { retryable: false },
  /** The provider answered with an error; `retryable` is set from the answer. */
  'provider-failed': { retryable: false },
  /** The conversation is longer than the model can hold. */
  'context-exceeded': { retryable: false },
  /** The provider asks to wait; `details.retryAfterMs` when it says how long. */
  'provider-limited': { retryable: true },
} as const satisfies Record<string, { retryable: boolean }>;

export type ErrorCode = keyof typeof errorCodes;

const codes = Object.keys(errorCodes) as [ErrorCode, ...ErrorCode[]];

/** An error as it goes over the wire. An unknown code (a newer sender) reads as `internal`, its text kept. */
export const wireErrorSchema = z.object({
  code: z.enum(codes).catch('internal'),
  /** One sentence for a person, without a full stop at its end being required. */
  message: z.string(),
  retryable: z.boolean(),
  details: z.record(z.string(), z.unknown()).optional(),
});
export type WireError = z.infer<typeof wireErrorSchema>;

/** The one error class of Coppice's own failures: it has a wire form. Anything else that is thrown is a defect, sent as `internal`. */
export class CoppiceError extends Error {
  override readonly name = 'CoppiceError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly details: Record<string, unknown> | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; details?: Record<string, unknown>; retryable?: boolean } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? errorCodes[code].retryable;
    this.details = options.details;
  }

  toWire(): WireError {
    const wire: WireError = { code: this.code, message: this.message, retryable: this.retryable };
    if (this.details !== undefined) wire.details = this.details;
    return wire;
  }

  static fromWire(error: WireError): CoppiceError {
    return new CoppiceError(error.code, error.message, {
      retryable: error.retryable,
      ...(error.details === undefined ? {} : { details: error.details }),
    });
  }
}

/** The wire form of anything thrown. A defect's text is told, its stack is not. */
export function toWireError(error: unknown): WireError {
  if (error instanceof CoppiceError) return error.toWire();
  return { code: 'internal', message: error instanceof Error ? error.message : String(error), retryable: true };
}

/** One field of a refused message: what was expected there and what came. */
export type FieldIssue = { field: string; expected: string; received: string };
