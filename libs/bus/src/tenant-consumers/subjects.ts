import { streams, tenantFamilies } from '@coppice/contracts';

/** Returns the streams that a tenant may read, each with the widest allowed filter. */
export const tenantStreams = (tenant: string): { stream: string; filter: string }[] => {
  const { event, transcript, log } = tenantFamilies(tenant);
  return [
    { stream: streams.events, filter: event },
    { stream: streams.transcripts, filter: transcript },
    { stream: streams.logs, filter: log },
  ];
};

const prefix = 'coppice.consumer';

/**
 * Returns the subject on which a tenant's requests for consumers arrive, with `*` for the consumer's name. A request
 * may have a narrower filter.
 */
export const tenantConsumerSubject = (tenant: string, { stream, filter }: { stream: string; filter: string }): string =>
  `${prefix}.${tenant}.${stream}.*.${filter}`;

/** Subject of all tenants' requests for consumers. */
export const tenantConsumerSubjects = `${prefix}.>`;

export type ConsumerRequest = { tenant: string; stream: string; name: string; filter: string };

/**
 * Parses the subject of a request for a consumer. Null if the subject isn't such a request, or the tenant may not read
 * the stream or the filter.
 */
export function consumerRequestIn(subject: string): ConsumerRequest | null {
  const [, , tenant = '', stream = '', name = '', ...tokens] = subject.split('.');
  const own = tenantStreams(tenant).find((each) => each.stream === stream);
  const filter = tokens.join('.');
  if (own === undefined || name === '' || !filter.startsWith(own.filter.replace('>', ''))) return null;
  return { tenant, stream, name, filter };
}
