import type { Format } from '../format.ts';
import { anthropic } from './anthropic.ts';
import { gemini } from './gemini.ts';
import { ollama } from './ollama.ts';
import { openAiChat } from './openai-chat.ts';
import { openAiResponses } from './openai-responses.ts';

/**
 * All wire formats. The first one that recognises a request answers it. Chat Completions is last, since three vendors list their models at `/v1/models`, and OpenAI's
 * clients are the only ones without a header that identifies the vendor.
 */
export const formats: readonly Format[] = [openAiResponses, anthropic, gemini, ollama, openAiChat];
