import type { Bus } from '@coppice/bus';

/** The public API as one tenant. */
export type ApiClient = { bus: Bus; tenant: string };

/** Of a stack that may end meanwhile. */
export type StackClient = ApiClient & {
  /** Aborted when the stack is over, with what ended it, a clause, as the reason. Nobody answers then. */
  stackEnded: AbortSignal;
};
