import type { Bus } from '@coppice/bus';
import type { OnWaiting } from './ask.ts';

/** A client of the public API that acts as one tenant. */
export type ApiClient = {
  bus: Bus;
  tenant: string;
  /** Time limit in milliseconds for a call that gets no answer. Default: `waitMsDefault` in ask.ts. */
  waitMsMax?: number | undefined;
  /** Called while a call gets no answer. */
  onWaiting?: OnWaiting | undefined;
  /** Aborted when the stack ends. The abort reason is a text such as "the stack has ended". */
  stackEnded?: AbortSignal | undefined;
};

/** A client that is notified when its stack ends. */
export type StackClient = ApiClient & { stackEnded: AbortSignal };
