import type { CoppiceError } from '@coppice/contracts';
import type { Amount, AmountLimit } from './amount.ts';

export type Budget = {
  /** Key in the bucket. The part before the first dot is the kind of budget. */
  key: string;
  /** Name in errors, such as `tenant acme in 2026-11`. */
  name: string;
  limit: AmountLimit;
  /** Time without a write after which the bucket deletes the budget. Null for never. */
  forgottenAfterMs: number | null;
  /** True if only one call uses this budget. Such a budget is kept only in memory, and is freed with this object. */
  ofOneCall?: boolean;
};

export type Reservation = {
  /** Reports the usage of the call. Only the first settlement counts. */
  settle(used: Amount): void;
};

/** Rules by which a call accepts less than the wanted amount. */
export type Less = {
  least: Amount;
  /**
   * Returns the amount to reserve if only `free` is left. `why` is the error that a call for the full amount would get.
   */
  within(free: Amount, why: CoppiceError): Amount;
  /**
   * True if the call waits while calls in flight may return a part of their reservations. It accepts less only when
   * none of them can.
   */
  patient: boolean;
};
