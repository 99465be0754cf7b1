import type { Bus } from '@coppice/bus';
import type { OnWaiting } from './ask.ts';

/** The public API as one tenant. */
export type ApiClient = {
  bus: Bus;
  tenant: string;
  /** How long a call that gets no answer is tried again; see ask.ts for the default. */
  waitMsMax?: number | undefined;
  /** Notified while a call gets no answer. */
  onWaiting?: OnWaiting | undefined;
  /** Aborted when the stack is over, with what ended it, a clause, as the reason. Nobody answers then. */
  stackEnded?: AbortSignal | undefined;
};

/** A client that learns when its stack has ended. */
export type StackClient = ApiClient & { stackEnded: AbortSignal };
