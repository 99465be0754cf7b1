import { anthropic } from './anthropic/wire.ts';
import { gemini } from './gemini/wire.ts';
import type { Wire } from '../transport/wire.ts';
import { ollama } from './ollama/wire.ts';
import { openAiChatAt } from './openai-chat/wire.ts';
import { openAiResponses } from './openai-responses/wire.ts';
import type { WireName } from '../provider/port.ts';

const wires: Readonly<Record<WireName, (baseUrl: string) => Wire>> = {
  'openai-chat': openAiChatAt,
  'openai-responses': () => openAiResponses,
  anthropic: () => anthropic,
  gemini: () => gemini,
  ollama: () => ollama,
};

/** The wire format as the server at this address speaks it. */
export const wireOf = (name: WireName, baseUrl: string): Wire => wires[name](baseUrl);
