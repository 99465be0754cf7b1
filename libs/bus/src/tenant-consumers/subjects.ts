import { streams, tenantFamilies } from '@coppice/contracts';

/** What a tenant may read, and by which filter at most. */
export const tenantStreams = (tenant: string): { stream: string; filter: string }[] => {
  const { event, transcript, log } = tenantFamilies(tenant);
  return [
    { stream: streams.events, filter: event },
    { stream: streams.transcripts, filter: transcript },
    { stream: streams.logs, filter: log },
  ];
};

const prefix = 'coppice.consumer';

/** Where a tenant's request for a consumer arrives: its name stands for `*`, its filter is `filter` or one that this matches. */
export const tenantConsumerSubject = (tenant: string, { stream, filter }: { stream: string; filter: string }): string =>
  `${prefix}.${tenant}.${stream}.*.${filter}`;

/** What whoever makes them subscribes to. */
export const tenantConsumerSubjects = `${prefix}.>`;

export type ConsumerAsked = { tenant: string; stream: string; name: string; filter: string };

/** The consumer that a subject asks for. Null where no account leads such a request here. */
export function askedBy(subject: string): ConsumerAsked | null {
  const [, , tenant = '', stream = '', name = '', ...tokens] = subject.split('.');
  const own = tenantStreams(tenant).find((each) => each.stream === stream);
  const filter = tokens.join('.');
  if (own === undefined || name === '' || !filter.startsWith(own.filter.replace('>', ''))) return null;
  return { tenant, stream, name, filter };
}
