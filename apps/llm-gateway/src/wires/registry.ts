import { anthropic } from './anthropic/wire.ts';
import { gemini } from './gemini/wire.ts';
import type { Wire } from '../transport/wire.ts';
import { ollama } from './ollama/wire.ts';
import { openAiChatAt } from './openai-chat/wire.ts';
import { openAiResponses } from './openai-responses/wire.ts';

/** Registry of the wire formats. Each entry returns the variant for the server at an address. */
const wires = {
  'openai-chat': openAiChatAt,
  'openai-responses': () => openAiResponses,
  anthropic: () => anthropic,
  gemini: () => gemini,
  ollama: () => ollama,
};

export type WireName = keyof typeof wires;
export const wireNames = Object.keys(wires) as [WireName, ...WireName[]];

export const wireOf = (name: WireName, baseUrl: string): Wire => wires[name](baseUrl);
