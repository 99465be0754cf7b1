import { z } from 'zod';

/**
 * Every error code that crosses the wire. `retryable` is the default for the code: the same request, sent again later, may succeed.
 * A published code is never renamed or reused. `meaning` is its text in the protocol's documents.
 */
export const errorCodes = {
  'invalid-request': {
    retryable: false,
    meaning: "the message isn't JSON, or doesn't fit its schema; `details.issues` names each field",
  },
  'not-found': { retryable: false, meaning: "what the request names doesn't exist" },
  conflict: {
    retryable: false,
    meaning: "the thing is in a state that doesn't allow this; `details.state` names the state",
  },
  'already-exists': { retryable: false, meaning: 'the same identity was used before with other content' },
  'permission-denied': { retryable: false, meaning: 'the caller may not do this' },
  'limit-exceeded': { retryable: false, meaning: 'a fixed limit was exceeded; the message names limit and value' },
  'disk-full': {
    retryable: true,
    meaning:
      'a disk of the stack has less free space, or fewer free inodes, than is kept free; the message names the disk, what uses it and how to free it',
  },
  unavailable: { retryable: true, meaning: 'nobody serves this right now' },
  'deadline-exceeded': { retryable: true, meaning: "the answer didn't come in time; it may still be at work" },
  cancelled: { retryable: false, meaning: 'the work was cancelled before it ended' },
  unknown: {
    retryable: false,
    meaning: 'it is not known whether the effect happened: its executor was lost in the middle',
  },
  internal: { retryable: true, meaning: 'a defect, or a failure that nobody foresaw' },
  'delivery-limit': { retryable: false, meaning: 'given up on after too many deliveries' },
  expired: { retryable: false, meaning: 'older than the age at which a message may still be acted on' },
  'repository-not-found': { retryable: false, meaning: 'there is no git repository that can be read' },
  'branch-not-found': { retryable: false, meaning: 'the repository has no such branch; the message offers a near one' },
  'git-failed': { retryable: true, meaning: 'git failed in a way that has no code of its own' },
  'git-contention': { retryable: true, meaning: 'lost a race for a lock or a ref too often' },
  'merge-conflict': {
    retryable: false,
    meaning:
      'the change conflicts with the target; `details.paths` names at most 20 of the files, `details.landed` the last commits that changed them meanwhile, of at most 10 files 3 each',
  },
  'import-refused': {
    retryable: false,
    meaning: 'the working tree holds something that may not be imported; the message names the path and why',
  },
  'landing-refused': {
    retryable: false,
    meaning: "the target can't be written by this stack (a rejected push, a missing right)",
  },
  'image-not-found': { retryable: false, meaning: 'there is no such image, and it could not be fetched' },
  'engine-unavailable': {
    retryable: false,
    meaning: "no sandbox engine works here, or the one that works doesn't enforce what the task requires",
  },
  'sandbox-not-found': { retryable: false, meaning: 'the sandbox is gone' },
  'sandbox-refused': { retryable: false, meaning: 'the sandbox would not be as safe as it has to be' },
  'sandbox-failed': { retryable: true, meaning: 'the sandbox engine failed' },
  'model-not-found': { retryable: false, meaning: 'no provider has this model' },
  'provider-failed': {
    retryable: false,
    meaning: 'the provider answered with an error; `retryable` is set from its answer',
  },
  'context-exceeded': { retryable: false, meaning: 'the conversation is longer than the model can hold' },
  'provider-limited': {
    retryable: true,
    meaning: 'the provider asks to wait; `details.retryAfterMs` where it says how long',
  },
} as const satisfies Record<string, { retryable: boolean; meaning: string }>;

export type ErrorCode = keyof typeof errorCodes;

const codes = Object.keys(errorCodes) as [ErrorCode, ...ErrorCode[]];

/** An error on the wire. An unknown code (from a newer sender) is read as `internal`; the message is kept. */
export const wireErrorSchema = z.object({
  code: z
    .union([z.enum(codes), z.string().transform((): ErrorCode => 'internal')])
    .describe("A code of the list; later versions add some. Read one that you don't know as `internal`."),
  message: z.string().describe('One sentence for a person.'),
  retryable: z.boolean().describe('The same request, sent again later, may succeed.'),
  details: z
    .record(z.string(), z.unknown())
    .optional()
    .describe(
      '`issues` names each wrong field: `field`, what was `expected` there, what was `received`. `state` and others by code.',
    ),
});
export type WireError = z.infer<typeof wireErrorSchema>;

/** The error class for Coppice's own failures, with a wire form. Any other thrown error is a defect and is sent as `internal`. */
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

/** Converts any thrown value to its wire form. A defect's message is sent, its stack is not. */
export function toWireError(error: unknown): WireError {
  if (error instanceof CoppiceError) return error.toWire();
  return { code: 'internal', message: error instanceof Error ? error.message : String(error), retryable: true };
}

/** One invalid field of a rejected message: the expected and the received value. */
export type FieldIssue = { field: string; expected: string; received: string };
