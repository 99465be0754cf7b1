import { z } from 'zod';
import { tenantSchema } from './identifiers.ts';

/**
 * A gateway's notice to the other gateways about a model that it currently doesn't call, on `subjects.gatewayHealth`. A
 * notice may be late, lost or duplicated. The worst effect is that a call waits for a limited time, or is sent to a
 * provider that fails. Times are durations, so that no two clocks are compared.
 */
export const gatewayHealthNewsSchema = z.object({
  /** The part of `provider/model` before the slash. */
  provider: z.string().min(1).max(64),
  model: z.string().min(1).max(255),
  /**
   * State of the model's circuit breaker. `open` means that calls failed repeatedly, `closed` that calls succeed again,
   * and `cooling` that the provider requests a pause.
   */
  state: z.enum(['open', 'closed', 'cooling']),
  forMs: z.int().nonnegative(),
  /** Only with `open`. The notice applies only to this tenant's calls, since only calls of this tenant failed. */
  tenant: tenantSchema.optional(),
});
export type GatewayHealthNews = z.infer<typeof gatewayHealthNewsSchema>;

/** A notice with its sender, which ignores its own notices. */
export const gatewayHealthMessageSchema = gatewayHealthNewsSchema.extend({ from: z.string().min(1).max(255) });
