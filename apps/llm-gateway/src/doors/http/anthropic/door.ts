import type { Door } from '../door.ts';
import { parseMessagesRequest } from './parse-request.ts';
import { messagesError } from './write-error.ts';

/** `POST /v1/messages`. */
export const messagesDoor: Door = {
  wire: 'anthropic',
  provider: 'anthropic',
  headers: ['anthropic-version', 'anthropic-beta'],
  parse: parseMessagesRequest,
  error: messagesError,
};
