import type { IncomingHttpHeaders } from 'node:http';

/** Returns the request's token from any place where a vendor's client sends its key. Returns null if there is none. */
export function tokenOf(headers: IncomingHttpHeaders, query: URLSearchParams): string | null {
  const [, bearer] = /^Bearer\s+(\S+)$/i.exec(headers.authorization ?? '') ?? [];
  if (bearer !== undefined) return bearer;
  const keys = [headers['x-api-key'], headers['x-goog-api-key'], query.get('key')];
  const token = keys.find((each) => typeof each === 'string' && each !== '');
  return typeof token === 'string' ? token : null;
}
