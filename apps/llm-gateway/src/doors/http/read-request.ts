import { validate } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import type { FieldIssue } from '@coppice/contracts';
import type { z } from 'zod';

/**
 * A body as its door reads it. Servers written in Go, such as Ollama, take a field's name in any case, and of several the last: it may not name another model or maximum
 * than what was checked and reserved.
 * @throws CoppiceError `invalid-request`.
 */
export function readRequest<Request extends z.ZodObject>(schema: Request, body: unknown): z.output<Request> {
  const request = validate<z.output<Request>>(schema, body, 'the request');
  for (const name of Object.keys(request)) {
    if (isLowerCase.test(name)) continue;
    // As Go folds them: a long s and the sign of Kelvin are letters of names, too.
    const meant = name.toUpperCase().toLowerCase();
    if (meant !== name && Object.hasOwn(schema.shape, meant)) throw otherCase(name, meant);
  }
  return request;
}

const isLowerCase = /^[a-z0-9_]*$/;

function otherCase(field: string, meant: string): CoppiceError {
  const issue: FieldIssue = { field, expected: `no such field (did you mean ${meant}?)`, received: field };
  const message = `the request: ${field}: expected ${issue.expected}`;
  return new CoppiceError('invalid-request', message, { details: { issues: [issue] } });
}
