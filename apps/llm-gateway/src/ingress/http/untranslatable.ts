import type { FieldIssue } from '@coppice/contracts';

const receivedCharactersMax = 80;
/** Maximum number of reported fields. One is enough to reject the request. */
const issuesMax = 20;

/**
 * Collects the fields of a request that no other wire format can express. Only a provider of the same wire format may
 * get them.
 */
export class Untranslatable {
  readonly issues: FieldIssue[] = [];

  add(field: string, expected: string, value: unknown): void {
    if (this.issues.length === issuesMax) return;
    const text = JSON.stringify(value) ?? 'nothing';
    const received = text.length <= receivedCharactersMax ? text : `${text.slice(0, receivedCharactersMax)}…`;
    this.issues.push({ field, expected, received });
  }

  /** Adds those of the fields that are set. They must exist only in this wire format. */
  addPresent(body: Readonly<Record<string, unknown>>, fields: readonly string[]): void {
    for (const field of fields) {
      const value = body[field];
      if (value !== undefined && value !== null && value !== false) this.add(field, 'no such field', value);
    }
  }
}
