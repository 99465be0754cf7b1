import { z } from 'zod';
import { tenantSchema } from './identifiers.ts';

/**
 * What one gateway tells the others of a model that isn't asked just now, on `subjects.gatewayHealth`. It is advice: one that is late, lost or doubled makes a
 * call wait for a bounded time, or ask a provider in vain. Times are how long, not when: no two clocks are compared.
 */
export const gatewayHealthNewsSchema = z.object({
  /** As in `provider/model`. */
  provider: z.string().min(1).max(64),
  model: z.string().min(1).max(255),
  /** `open`: it failed again and again; `closed`: it answers again; `cooling`: it asks to wait. */
  state: z.enum(['open', 'closed', 'cooling']),
  forMs: z.int().nonnegative(),
  /** With `open`: for calls of this tenant alone, since all that failed were its own. */
  tenant: tenantSchema.optional(),
});
export type GatewayHealthNews = z.infer<typeof gatewayHealthNewsSchema>;

/** With the process that tells it, so that it needn't heed itself. */
export const gatewayHealthMessageSchema = gatewayHealthNewsSchema.extend({ from: z.string().min(1).max(255) });
