import type { Format } from '../format.ts';
import { anthropic } from './anthropic.ts';
import { gemini } from './gemini.ts';
import { ollama } from './ollama.ts';
import { openAiChat } from './openai-chat.ts';
import { openAiResponses } from './openai-responses.ts';

/** All wire formats. The first one that knows a request answers it: three vendors list their models at `/v1/models`, and only OpenAI's clients send no header of their own. */
export const formats: readonly Format[] = [openAiResponses, anthropic, gemini, ollama, openAiChat];
