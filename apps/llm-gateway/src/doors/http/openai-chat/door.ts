import type { Door } from '../door.ts';
import { openAiError } from '../openai-error.ts';
import { parseChatRequest } from './parse-request.ts';

/** `POST /v1/chat/completions`. */
export const chatDoor: Door = {
  wire: 'openai-chat',
  provider: 'openai',
  headers: ['openai-beta'],
  parse: parseChatRequest,
  error: (error) => {
    const { status, headers, body } = openAiError(error, 'openai-chat');
    return { status, headers, body };
  },
};
