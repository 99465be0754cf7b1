/** Wire formats of the gateway's own endpoints. `wireNames` lists those of providers, which include more. */
export const endpointFormats = ['openai-chat', 'openai-responses', 'anthropic', 'gemini'] as const;
export type EndpointFormat = (typeof endpointFormats)[number];
