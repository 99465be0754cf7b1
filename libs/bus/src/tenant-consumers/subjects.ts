import { streams, tenantFamilies } from '@coppice/contracts';

/** The streams that a tenant may read, each with the widest filter allowed. */
export const tenantStreams = (tenant: string): { stream: string; filter: string }[] => {
  const { event, transcript, log } = tenantFamilies(tenant);
  return [
    { stream: streams.events, filter: event },
    { stream: streams.transcripts, filter: transcript },
    { stream: streams.logs, filter: log },
  ];
};

const prefix = 'coppice.consumer';

/** The subject on which a tenant's request for a consumer arrives: `*` stands for the consumer's name; the filter is `filter` or a narrower one. */
export const tenantConsumerSubject = (tenant: string, { stream, filter }: { stream: string; filter: string }): string =>
  `${prefix}.${tenant}.${stream}.*.${filter}`;

/** Subject of all requests for consumers, for the process that makes the consumers. */
export const tenantConsumerSubjects = `${prefix}.>`;

export type ConsumerRequest = { tenant: string; stream: string; name: string; filter: string };

/** Parses the consumer that a subject requests. Null when no account maps such a request here. */
export function consumerRequestIn(subject: string): ConsumerRequest | null {
  const [, , tenant = '', stream = '', name = '', ...tokens] = subject.split('.');
  const own = tenantStreams(tenant).find((each) => each.stream === stream);
  const filter = tokens.join('.');
  if (own === undefined || name === '' || !filter.startsWith(own.filter.replace('>', ''))) return null;
  return { tenant, stream, name, filter };
}
