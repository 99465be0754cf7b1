/** Helpers for optional values in answers, shared by the wire formats. */
import { fieldsOf } from '../ingress/http/fields.ts';
import type { UsageSoFar } from '../provider/port.ts';

export const nonEmpty = (value: string | null | undefined): value is string =>
  typeof value === 'string' && value !== '';

export const hasError = (body: unknown): boolean => (fieldsOf(body)['error'] ?? null) !== null;

/** Returns the id and the name of a tool call. Leaves out empty ones. */
export const calledAs = (id: string | null | undefined, name: string | null | undefined) => ({
  ...(nonEmpty(id) ? { id } : {}),
  ...(nonEmpty(name) ? { name } : {}),
});

/** Returns the counts that are numbers, or null if there are none. */
export function knownUsage(counts: { [Name in keyof UsageSoFar]?: number | null | undefined }): UsageSoFar | null {
  const known = Object.entries(counts).filter(([, value]) => typeof value === 'number');
  return known.length === 0 ? null : (Object.fromEntries(known) as UsageSoFar);
}
