import type { IncomingMessage } from 'node:http';
import type { TokenGrant } from '@coppice/contracts';
import { SpanKind, attributes, extractTrace, withSpan } from '@coppice/telemetry';

type RequestAbout = { name: string; grant: TokenGrant; request: IncomingMessage };

/**
 * Runs the work of a request in a span. The span belongs to the client's trace, if the client sent one. The span
 * records no query or header, since these may contain a token.
 */
export function inRequestSpan({ name, grant, request }: RequestAbout, work: () => Promise<void>): Promise<void> {
  const { traceparent, tracestate } = request.headers;
  const text = (value: string | string[] | undefined) => (typeof value === 'string' ? value : undefined);
  const settings = {
    kind: SpanKind.SERVER,
    parent: extractTrace({ traceparent: text(traceparent), tracestate: text(tracestate) }),
    attributes: {
      [attributes.httpRequestMethod]: request.method ?? '',
      [attributes.httpRoute]: name,
      [attributes.coppiceTenant]: grant.tenant,
      ...(grant.runId === '' ? {} : { [attributes.coppiceRunId]: grant.runId }),
      ...(grant.taskId === '' ? {} : { [attributes.coppiceTaskId]: grant.taskId }),
    },
  };
  return withSpan(`${request.method} ${name}`, settings, work);
}
