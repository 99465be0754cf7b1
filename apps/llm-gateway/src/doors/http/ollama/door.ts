import type { Door } from '../door.ts';
import { parseOllamaRequest } from './parse-request.ts';
import { ollamaError } from './write-error.ts';

/** `POST /api/chat`. */
export const ollamaDoor: Door = {
  wire: 'ollama',
  provider: 'ollama',
  headers: [],
  parse: parseOllamaRequest,
  error: ollamaError,
};
