/**
 * A refusal in JetStream's own format, which clients understand. `code` is like an HTTP status, and `err_code`
 * identifies the error.
 */
export class Refused extends Error {
  readonly error: { code: number; err_code: number; description: string };

  constructor(code: number, number: number, description: string) {
    super(description);
    this.error = { code, err_code: number, description: description.slice(0, descriptionCharactersMax).toWellFormed() };
  }
}

const descriptionCharactersMax = 500;

export const badRequest = (description: string): Refused => new Refused(400, 10_003, description);
export const tooMany = (description: string): Refused =>
  new Refused(400, 10_026, `maximum consumers limit reached: ${description}`);
export const unavailable = (description: string): Refused => new Refused(503, 10_008, description);
