import type { OriginalRequest } from './port.ts';

/** Reports whether the client named this model rather than an alias. If so, it gets the vendor's errors; a request for an alias is adapted to each of its candidates. */
export function isNamed(model: string, { body }: OriginalRequest): boolean {
  const requested = body['model'];
  return typeof requested === 'string' && (requested === model || requested.endsWith(`/${model}`));
}
