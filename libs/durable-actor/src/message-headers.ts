import type { RequestOrigin } from './value.ts';

/** Headers of inbox messages, in addition to the trace context. They are read before the body, and can be used even if the body can't be read. */
export const headerNames = {
  /** The effect that waits for the result of this message, and the actor it belongs to: `<kind>/<id>`. */
  effectId: 'coppice-effect-id',
  replyTo: 'coppice-reply-to',
  /** The effect of another actor that this event cancels. */
  cancels: 'coppice-cancels',
  /** Number of tries while the actor was absent, and time of the first try (milliseconds since 1970). */
  tries: 'coppice-tries',
  triedSince: 'coppice-tried-since',
  /** Marks a failed result that replaces a result that could not be handled. */
  givenUp: 'coppice-given-up',
} as const;

export function messageHeaders(item: { request: RequestOrigin | null; cancels?: string }): Record<string, string> {
  const { request, cancels } = item;
  const headers: Record<string, string> = {};
  if (request !== null) {
    headers[headerNames.effectId] = request.effectId;
    headers[headerNames.replyTo] = `${request.replyTo.kind}/${request.replyTo.id}`;
  }
  if (cancels !== undefined) headers[headerNames.cancels] = cancels;
  return headers;
}

export function requestOf(headers: Record<string, string>): RequestOrigin | null {
  const effectId = headers[headerNames.effectId];
  const [kind, id] = (headers[headerNames.replyTo] ?? '').split('/');
  if (effectId === undefined || kind === undefined || id === undefined || kind === '' || id === '') return null;
  return { effectId, replyTo: { kind, id } };
}

/** Headers for a copy of a message: all except the server's own, which apply to a single publish. */
export const copiedHeaders = (headers: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('Nats-')));
