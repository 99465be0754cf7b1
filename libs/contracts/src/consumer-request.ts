/**
 * A tenant's request to JetStream for a consumer. The NATS server defines its form:
 * https://docs.nats.io/reference/reference-protocols/nats_api_reference
 */
import { z } from 'zod';

const unset = z.union([z.null(), z.literal(''), z.literal(0), z.literal(false), z.array(z.never()).max(0)]).optional();

/**
 * The fields that JetStream clients send for a pull consumer. A request with another field is rejected. Some fields are
 * accepted and ignored, since they have no effect on a consumer without acknowledgements.
 */
const configSchema = z.strictObject({
  name: z.string().optional(),
  description: z.string().optional(),
  metadata: z.record(z.string(), z.string()).nullish(),
  durable_name: unset.describe('nothing'),
  deliver_subject: unset.describe('nothing: messages are pulled'),
  deliver_group: unset.describe('nothing: messages are pulled'),
  flow_control: unset,
  idle_heartbeat: unset,
  pause_until: z.union([unset, z.literal('0001-01-01T00:00:00Z')]),
  priority_groups: unset,
  priority_policy: z.union([unset, z.literal('none')]),
  backoff: unset,
  rate_limit_bps: unset,
  sample_freq: z.union([unset, z.literal('0%'), z.literal('0')]),
  ack_policy: z.literal('none').optional(),
  ack_wait: z.number().nullish(),
  max_ack_pending: z.number().nullish(),
  max_deliver: z.number().nullish(),
  num_replicas: z.number().nullish(),
  mem_storage: z.boolean().nullish(),
  filter_subject: z.string().optional(),
  filter_subjects: z.array(z.string()).max(1).nullish(),
  deliver_policy: z.enum(['all', 'last', 'new', 'by_start_sequence', 'by_start_time', 'last_per_subject']).optional(),
  opt_start_seq: z.int().nonnegative().optional(),
  opt_start_time: z.string().nullish(),
  replay_policy: z.literal('instant').optional(),
  headers_only: z.boolean().optional(),
  inactive_threshold: z.number().nonnegative().optional(),
  max_waiting: z.int().optional(),
  max_batch: z.int().optional(),
  max_expires: z.number().optional(),
  max_bytes: z.int().optional(),
});
export const consumerRequestSchema = z.looseObject({ stream_name: z.string(), config: configSchema });
export type ConsumerRequest = z.infer<typeof consumerRequestSchema>;
