import { validate } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import type { FieldIssue } from '@coppice/contracts';
import type { z } from 'zod';

/**
 * Rejects names that differ from a known field's name only in case. Servers written in Go, such as Ollama, accept such
 * names. So the server could use a model or a limit that the gateway hasn't checked.
 * @throws CoppiceError `invalid-request`.
 */
export function readRequest<Request extends z.ZodObject>(schema: Request, body: unknown): z.output<Request> {
  const request = validate<z.output<Request>>(schema, body, 'the request');
  for (const name of Object.keys(request)) {
    if (isLowerCase.test(name)) continue;
    // Folds case as Go does, which also matches the long s and the Kelvin sign with ASCII letters.
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
