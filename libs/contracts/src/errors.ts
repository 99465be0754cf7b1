import { z } from 'zod';

/**
 * Every error code that crosses the wire. `retryable` is the default for the code. If it is true, the same request may
 * succeed later. `meaning` is the text in the documents. A published code is never renamed or reused.
 */
export const errorCodes = {
  'invalid-request': {
    retryable: false,
    meaning: "the message isn't JSON, or doesn't match its schema; `details.issues` names each wrong field",
  },
  'not-found': { retryable: false, meaning: "the request names something that doesn't exist" },
  conflict: {
    retryable: false,
    meaning: "the state of the run or task doesn't allow this; `details.state` names the state",
  },
  'already-exists': { retryable: false, meaning: 'the same identity was used before with other content' },
  'permission-denied': { retryable: false, meaning: 'the caller may not do this' },
  'limit-exceeded': { retryable: false, meaning: 'a fixed limit was exceeded; the message names limit and value' },
  'disk-full': {
    retryable: true,
    meaning:
      'a disk of the stack has less free space, or fewer free inodes, than the configured minimum; the message names the disk, what uses it, and how to free it',
  },
  unavailable: { retryable: true, meaning: 'no service handles this at present' },
  'deadline-exceeded': { retryable: true, meaning: 'no answer came in time; the work may still be in progress' },
  cancelled: { retryable: false, meaning: 'the work was cancelled before it ended' },
  unknown: {
    retryable: false,
    meaning: 'it is unknown whether the operation had an effect, since its executor was lost',
  },
  internal: { retryable: true, meaning: 'a defect, or an unexpected failure' },
  'delivery-limit': { retryable: false, meaning: 'the message was delivered too many times without success' },
  expired: { retryable: false, meaning: 'the message is older than the maximum age for handling it' },
  'repository-not-found': { retryable: false, meaning: 'there is no readable git repository' },
  'branch-not-found': {
    retryable: false,
    meaning: 'the repository has no such branch; the message suggests a similar name',
  },
  'git-failed': { retryable: true, meaning: 'git failed for a reason that has no separate code' },
  'git-contention': { retryable: true, meaning: 'other processes held a lock or moved a ref in too many tries' },
  'merge-conflict': {
    retryable: false,
    meaning:
      'the change conflicts with the target; `details.paths` names at most 20 of the files. `details.landed` names the last commits that changed them since: for at most 10 files, 3 commits each',
  },
  'import-refused': {
    retryable: false,
    meaning: 'the working tree contains something that may not be imported; the message names the path and the reason',
  },
  'landing-refused': {
    retryable: false,
    meaning: "the target can't be written by this stack (a rejected push, a missing right)",
  },
  'image-not-found': { retryable: false, meaning: 'there is no such image, and it could not be fetched' },
  'engine-unavailable': {
    retryable: false,
    meaning: "no sandbox engine works here, or the engine doesn't enforce a limit that the task requires",
  },
  'sandbox-not-found': { retryable: false, meaning: "the sandbox doesn't exist" },
  'sandbox-refused': { retryable: false, meaning: 'the sandbox would not be as safe as required' },
  'sandbox-failed': { retryable: true, meaning: 'the sandbox engine failed' },
  'model-not-found': { retryable: false, meaning: 'no provider has this model' },
  'provider-failed': {
    retryable: false,
    meaning: 'the provider answered with an error; `retryable` is set from its answer',
  },
  'context-exceeded': { retryable: false, meaning: "the conversation is longer than the model's context" },
  'provider-limited': {
    retryable: true,
    meaning: 'the provider requires a wait; `details.retryAfterMs` is its duration, if the provider states it',
  },
} as const satisfies Record<string, { retryable: boolean; meaning: string }>;

export type ErrorCode = keyof typeof errorCodes;

const codes = Object.keys(errorCodes) as [ErrorCode, ...ErrorCode[]];

/** An error on the wire. A code that only a newer sender knows is read as `internal`. */
export const wireErrorSchema = z.object({
  code: z
    .union([z.enum(codes), z.string().transform((): ErrorCode => 'internal')])
    .describe('A code from the list. Later versions may add codes: treat an unknown one as `internal`.'),
  message: z.string().describe('One sentence for a human reader.'),
  retryable: z.boolean().describe('True if the same request may succeed later.'),
  details: z
    .record(z.string(), z.unknown())
    .optional()
    .describe(
      '`issues` lists the wrong fields: `field`, the `expected` value and the `received` value. Other fields, such as `state`, depend on the code.',
    ),
});
export type WireError = z.infer<typeof wireErrorSchema>;

/** The class of Coppice's expected failures. Any other thrown error is a defect and is sent as `internal`. */
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

/** Converts any thrown value to its wire form. The message of a defect is sent, but not its stack. */
export function toWireError(error: unknown): WireError {
  if (error instanceof CoppiceError) return error.toWire();
  return { code: 'internal', message: error instanceof Error ? error.message : String(error), retryable: true };
}

/** An invalid field of a rejected message. */
export type FieldIssue = { field: string; expected: string; received: string };
