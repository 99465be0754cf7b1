import type { OriginalRequest } from './port.ts';

/**
 * Reports whether the client named this model instead of an alias. Only requests for an alias are adapted to each
 * candidate. A client that named a model gets the vendor's errors.
 */
export function isNamed(model: string, { body }: OriginalRequest): boolean {
  const requested = body['model'];
  return typeof requested === 'string' && (requested === model || requested.endsWith(`/${model}`));
}
