import type { Bus } from '@coppice/bus';
import type { OnWaiting } from './ask.ts';

/** A client of the public API that acts as one tenant. */
export type ApiClient = {
  bus: Bus;
  tenant: string;
  /** Time limit in milliseconds for a call that gets no answer. Default: `waitMsDefault` in ask.ts. */
  waitMsMax?: number | undefined;
  onWaiting?: OnWaiting | undefined;
  /** Aborted when the stack ends. The abort reason is a text such as "the stack has ended". */
  stackEnded?: AbortSignal | undefined;
};

export type StackClient = ApiClient & { stackEnded: AbortSignal };
