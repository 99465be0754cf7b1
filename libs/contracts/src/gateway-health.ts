import { z } from 'zod';
import { tenantSchema } from './identifiers.ts';

/**
 * A gateway's notice to the other gateways about a model that it currently doesn't call, on `subjects.gatewayHealth`. The notice is only a hint. If it is late,
 * lost or duplicated, the worst effect is that a call waits for a limited time or is sent to a provider that fails. Times are durations, so that no two clocks
 * are compared.
 */
export const gatewayHealthNewsSchema = z.object({
  /** The part of `provider/model` before the slash. */
  provider: z.string().min(1).max(64),
  model: z.string().min(1).max(255),
  /** State of its circuit breaker. `open`: calls failed repeatedly. `closed`: calls succeed again. `cooling`: the provider asks to wait. */
  state: z.enum(['open', 'closed', 'cooling']),
  forMs: z.int().nonnegative(),
  /** Used with `open`: the notice then applies only to this tenant's calls, since all calls that failed were this tenant's. */
  tenant: tenantSchema.optional(),
});
export type GatewayHealthNews = z.infer<typeof gatewayHealthNewsSchema>;

/** A notice with its sender, so that the sender can ignore it. */
export const gatewayHealthMessageSchema = gatewayHealthNewsSchema.extend({ from: z.string().min(1).max(255) });
