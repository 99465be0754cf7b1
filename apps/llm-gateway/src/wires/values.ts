import { fieldsOf } from '../ingress/http/fields.ts';
import type { UsageSoFar } from '../provider/port.ts';

export const nonEmpty = (value: string | null | undefined): value is string =>
  typeof value === 'string' && value !== '';

export const hasError = (body: unknown): boolean => (fieldsOf(body)['error'] ?? null) !== null;

/** Leaves out an empty id or name. */
export const calledAs = (id: string | null | undefined, name: string | null | undefined) => ({
  ...(nonEmpty(id) ? { id } : {}),
  ...(nonEmpty(name) ? { name } : {}),
});

/** Returns null if no count is a number. */
export function knownUsage(counts: { [Name in keyof UsageSoFar]?: number | null | undefined }): UsageSoFar | null {
  const known = Object.entries(counts).filter(([, value]) => typeof value === 'number');
  return known.length === 0 ? null : (Object.fromEntries(known) as UsageSoFar);
}
