import { messagesEndpoint } from '../../wires/anthropic/serve/endpoint.ts';
import type { Endpoint } from './endpoint.ts';
import { geminiEndpoint } from '../../wires/gemini/serve/endpoint.ts';
import { chatEndpoint } from '../../wires/openai-chat/serve/endpoint.ts';
import { responsesEndpoint } from '../../wires/openai-responses/serve/endpoint.ts';
import type { ModelListing } from './models.ts';
import { anthropicModels, geminiModels, openAiModels } from './models.ts';

export type Route =
  | { kind: 'call'; endpoint: Endpoint }
  | { kind: 'count'; endpoint: Endpoint; answer(tokens: number): object }
  | { kind: 'models'; endpoint: Endpoint; listing: ModelListing; model: string | null }
  | { kind: 'alive' };

/** Headers and query. They identify the client's vendor if several vendors use the path. */
type Marks = { headers: Readonly<Record<string, unknown>>; query: URLSearchParams };

type RouteRule = {
  methods: readonly string[];
  path: RegExp;
  /** Name in traces. */
  name: string;
  route(match: RegExpExecArray, marks: Marks): Route;
};

const callRoute = (endpoint: Endpoint, name: string): RouteRule => ({
  methods: ['POST'],
  path: new RegExp(`^${name}$`),
  name,
  route: () => ({ kind: 'call', endpoint }),
});

const decoded = (text: string | undefined): string | null => {
  if (text === undefined || text === '') return null;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** Path of a call in Gemini's format. The model's name is a part of the path and may contain slashes. */
const geminiPath = /^\/v1(?:beta|alpha)?\/models\/(.+):(generateContent|streamGenerateContent|countTokens)$/;

/**
 * Returns the endpoint for `GET /v1/models`. OpenAI, Anthropic and the stable version of Google's API all use this
 * path.
 */
function modelsEndpointOf({ headers, query }: Marks): { endpoint: Endpoint; listing: ModelListing } {
  if (headers['anthropic-version'] !== undefined) return { endpoint: messagesEndpoint, listing: anthropicModels };
  const google = headers['x-goog-api-key'] ?? headers['x-goog-api-client'] ?? query.get('key') ?? undefined;
  return google === undefined
    ? { endpoint: chatEndpoint, listing: openAiModels }
    : { endpoint: geminiEndpoint, listing: geminiModels };
}

const verbOfModel = /^\/v1(?:beta|alpha)?\/models\/.+:[a-zA-Z]+$/;

const rules: readonly RouteRule[] = [
  callRoute(chatEndpoint, '/v1/chat/completions'),
  callRoute(responsesEndpoint, '/v1/responses'),
  callRoute(messagesEndpoint, '/v1/messages'),
  {
    methods: ['POST'],
    path: /^\/v1\/messages\/count_tokens$/,
    name: '/v1/messages/count_tokens',
    route: () => ({ kind: 'count', endpoint: messagesEndpoint, answer: (tokens) => ({ input_tokens: tokens }) }),
  },
  {
    methods: ['POST'],
    path: geminiPath,
    name: '/v1beta/models/{model}',
    route: ([, , verb]) =>
      verb === 'countTokens'
        ? { kind: 'count', endpoint: geminiEndpoint, answer: (tokens) => ({ totalTokens: tokens }) }
        : { kind: 'call', endpoint: geminiEndpoint },
  },
  {
    methods: ['GET'],
    path: /^\/v1\/models(?:\/(.+))?$/,
    name: '/v1/models',
    route: ([, model], marks) => ({ kind: 'models', ...modelsEndpointOf(marks), model: decoded(model) }),
  },
  {
    methods: ['GET'],
    path: /^\/v1(?:beta|alpha)\/models(?:\/(.+))?$/,
    name: '/v1beta/models',
    route: ([, model]) => ({ kind: 'models', endpoint: geminiEndpoint, listing: geminiModels, model: decoded(model) }),
  },
  { methods: ['GET', 'HEAD'], path: /^\/$/, name: '/', route: () => ({ kind: 'alive' }) },
];

/** Returns null if the path is unknown. Returns the allowed `methods` if only the method is wrong. */
export function routeOf(
  method: string,
  path: string,
  marks: Marks,
): { name: string; route: Route } | { methods: readonly string[] } | null {
  let methods: readonly string[] = [];
  for (const rule of rules) {
    const match = rule.path.exec(path);
    if (match === null) continue;
    if (rule.methods.includes(method)) return { name: rule.name, route: rule.route(match, marks) };
    // A path with an unsupported Google verb, such as `:embedContent`, is unknown. Without this check, the verb would
    // count as a part of the model's name.
    if (!verbOfModel.test(path)) methods = [...methods, ...rule.methods];
  }
  return methods.length === 0 ? null : { methods };
}

/** Returns the endpoint that determines the format of errors for this path. */
export function endpointOf(path: string, marks: Marks): Endpoint {
  if (path.startsWith('/v1/messages')) return messagesEndpoint;
  if (path.startsWith('/v1/responses')) return responsesEndpoint;
  if (path.startsWith('/v1beta/') || path.startsWith('/v1alpha/') || geminiPath.test(path)) return geminiEndpoint;
  if (/^\/v1\/models(?:\/|$)/.test(path)) return modelsEndpointOf(marks).endpoint;
  return chatEndpoint;
}
