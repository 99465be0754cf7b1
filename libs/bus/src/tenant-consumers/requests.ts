import { consumerRequestSchema } from '@coppice/contracts';
import type { ConsumerRequest } from '@coppice/contracts';
import { busLimits } from '../limits.ts';
import { parseStrictJson } from '../strict-json.ts';
import { validate } from '../validate.ts';
import { badRequest } from './refusals.ts';

const nanosecondsPerMs = 1_000_000;
const { readerIdleMs, consumerIdleMsMax, pullsWaitingMax } = busLimits;

/** Builds the consumer's configuration from a tenant's request. @throws Refused */
export function configOf(data: Uint8Array, to: { stream: string; name: string; filter: string }): object {
  const { stream_name: stream, config } = read(data);
  requireSame('stream_name', stream, to.stream);
  requireSame('config.name', config.name ?? to.name, to.name);
  const [only = config.filter_subject] = config.filter_subjects ?? [];
  requireSame('config.filter_subject', only, to.filter);
  requireSame('config.filter_subject', config.filter_subject || to.filter, to.filter);
  const idle = config.inactive_threshold ?? 0;
  return {
    ...taken(config),
    name: to.name,
    filter_subject: to.filter,
    ack_policy: 'none',
    mem_storage: true,
    num_replicas: 1,
    max_waiting: pullsWaitingMax,
    inactive_threshold: Math.min(
      idle === 0 ? readerIdleMs * nanosecondsPerMs : idle,
      consumerIdleMsMax * nanosecondsPerMs,
    ),
  };
}

function taken(config: ConsumerRequest['config']): object {
  const { deliver_policy, opt_start_seq, opt_start_time, replay_policy, headers_only } = config;
  const { max_batch, max_expires, max_bytes } = config;
  const all = { deliver_policy, opt_start_seq, opt_start_time, replay_policy, headers_only };
  return { ...all, max_batch, max_expires, max_bytes };
}

/** Parses a request. Limits its size, since a refusal quotes the request and must fit into one message. */
function read(data: Uint8Array): ConsumerRequest {
  if (data.length > busLimits.consumerRequestBytesMax)
    throw badRequest(`the request has ${data.length} bytes, over the limit of ${busLimits.consumerRequestBytesMax}`);
  try {
    const body = parseStrictJson(data, 'the request', { valuesMax: 200, depthMax: 5 });
    return validate(consumerRequestSchema, body, 'the request');
  } catch (error) {
    throw badRequest((error as Error).message);
  }
}

function requireSame(field: string, received: string | undefined, expected: string): void {
  if (received !== expected)
    throw badRequest(`${field}: expected ${expected}, as in the subject, received ${received ?? 'none'}`);
}
