import type { RequestOrigin } from './value.ts';

/** Headers of inbox messages. A host can use them even if the body is invalid. */
export const headerNames = {
  /** `effectId` is the effect that waits for the result of this message. `replyTo` is its actor, as `<kind>/<id>`. */
  effectId: 'coppice-effect-id',
  replyTo: 'coppice-reply-to',
  /** Id of the sender's effect that this event cancels. */
  cancels: 'coppice-cancels',
  /** Number of tries while the actor didn't exist, and time of the first try in milliseconds since 1970. */
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

/**
 * Returns the headers for a copy of a message. The server's own headers are left out, since they apply to one publish.
 */
export const copiedHeaders = (headers: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('Nats-')));
