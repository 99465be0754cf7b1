import type { FieldIssue } from '@coppice/contracts';

const receivedCharactersMax = 80;
/** The first is enough to refuse the request. */
const issuesMax = 20;

/** Collects what a request holds that no other wire has words for. A provider of the same wire is sent it as it came, and judges it itself. */
export class Untranslatable {
  readonly issues: FieldIssue[] = [];

  add(field: string, expected: string, value: unknown): void {
    if (this.issues.length === issuesMax) return;
    const text = JSON.stringify(value) ?? 'nothing';
    const received = text.length <= receivedCharactersMax ? text : `${text.slice(0, receivedCharactersMax)}…`;
    this.issues.push({ field, expected, received });
  }

  /** Fields whose mere presence asks for what only this wire knows. */
  addPresent(body: Readonly<Record<string, unknown>>, fields: readonly string[]): void {
    for (const field of fields) {
      const value = body[field];
      if (value !== undefined && value !== null && value !== false) this.add(field, 'no such field', value);
    }
  }
}
