import type { RequestOrigin } from './value.ts';

/** Headers of inbox messages, beside the trace context. They are read before, and even if, the body can't be. */
export const headerNames = {
  /** The effect of another actor that waits for what comes of this message, and whose it is: `<kind>/<id>`. */
  effectId: 'coppice-effect-id',
  replyTo: 'coppice-reply-to',
  /** The effect of another actor that this event calls off. */
  cancels: 'coppice-cancels',
  /** How often this was tried at an absent actor, and when first (milliseconds since 1970). */
  tries: 'coppice-tries',
  triedSince: 'coppice-tried-since',
  /** This failure stands for a result that had to be given up on. */
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

/** What a copy of a message keeps: everything but what the server sets for the one publish. */
export const copiedHeaders = (headers: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('Nats-')));
