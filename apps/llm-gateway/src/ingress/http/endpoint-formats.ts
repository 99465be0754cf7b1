/** Wire formats of the gateway's own endpoints. `wireNames` lists the wire formats of providers, and has more entries. */
export const endpointFormats = ['openai-chat', 'openai-responses', 'anthropic', 'gemini'] as const;
export type EndpointFormat = (typeof endpointFormats)[number];
