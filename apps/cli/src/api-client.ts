import type { Bus } from '@coppice/bus';
import type { OnWaiting } from './ask.ts';

/** A client of the public API that acts as one tenant. */
export type ApiClient = {
  bus: Bus;
  tenant: string;
  /** Milliseconds for which a call is retried if it gets no answer. The default is in ask.ts. */
  waitMsMax?: number | undefined;
  /** Called while a call gets no answer. */
  onWaiting?: OnWaiting | undefined;
  /** Aborted when the stack has ended. The abort reason is a clause that says what ended it. */
  stackEnded?: AbortSignal | undefined;
};

/** A client that is notified when its stack ends. */
export type StackClient = ApiClient & { stackEnded: AbortSignal };
