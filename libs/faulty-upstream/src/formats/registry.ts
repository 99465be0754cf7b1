import type { Format } from '../format.ts';
import { anthropic } from './anthropic.ts';
import { gemini } from './gemini.ts';
import { ollama } from './ollama.ts';
import { openAiChat } from './openai-chat.ts';
import { openAiResponses } from './openai-responses.ts';

/**
 * All wire formats. The first one that recognizes a request answers it. Three vendors list their models at
 * `/v1/models`. OpenAI's clients send no header that identifies the vendor, so Chat Completions is last.
 */
export const formats: readonly Format[] = [openAiResponses, anthropic, gemini, ollama, openAiChat];
