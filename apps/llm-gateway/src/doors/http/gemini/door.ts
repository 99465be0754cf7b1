import type { Door } from '../door.ts';
import { parseGenerateRequest } from './parse-request.ts';
import { generateError } from './write-error.ts';

/** `POST /v1beta/models/MODEL:generateContent` and `…:streamGenerateContent`. */
export const geminiDoor: Door = {
  wire: 'gemini',
  provider: 'gemini',
  headers: [],
  parse: parseGenerateRequest,
  error: generateError,
};
