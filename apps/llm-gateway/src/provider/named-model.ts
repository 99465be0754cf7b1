import type { OriginalRequest } from './port.ts';

/** Whether the client asked for this very model, and is to be told what it refuses. Who named an alias wrote the request for any of its candidates. */
export function isNamed(model: string, { body }: OriginalRequest): boolean {
  const asked = body['model'];
  return typeof asked === 'string' && (asked === model || asked.endsWith(`/${model}`));
}
