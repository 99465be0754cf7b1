import type { OriginalRequest } from './port.ts';

/**
 * Reports whether the client named this model rather than an alias. A request for an alias is adapted to each candidate. A request for a named model isn't
 * adapted, so that the client gets the vendor's errors.
 */
export function isNamed(model: string, { body }: OriginalRequest): boolean {
  const requested = body['model'];
  return typeof requested === 'string' && (requested === model || requested.endsWith(`/${model}`));
}
