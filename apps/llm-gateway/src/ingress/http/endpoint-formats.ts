/** The wire formats of the gateway's own endpoints. Providers have more of them: see `wireNames`. */
export const endpointFormats = ['openai-chat', 'openai-responses', 'anthropic', 'gemini'] as const;
export type EndpointFormat = (typeof endpointFormats)[number];
