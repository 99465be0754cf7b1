/** Wire formats of the gateway's HTTP endpoints. `wireNames` lists the wire formats of providers. */
export const endpointFormats = ['openai-chat', 'openai-responses', 'anthropic', 'gemini'] as const;
export type EndpointFormat = (typeof endpointFormats)[number];
