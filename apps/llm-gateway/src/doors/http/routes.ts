import { messagesDoor } from './anthropic/door.ts';
import type { Door } from './door.ts';
import { geminiDoor } from './gemini/door.ts';
import { ollamaDoor } from './ollama/door.ts';
import { chatDoor } from './openai-chat/door.ts';
import { responsesDoor } from './openai-responses/door.ts';
import type { ModelListing } from './models.ts';
import { anthropicModels, geminiModels, ollamaTags, openAiModels } from './models.ts';

export type Route =
  | { kind: 'ask'; door: Door }
  | { kind: 'count'; door: Door; answer(tokens: number): object }
  | { kind: 'models'; door: Door; listing: ModelListing; model: string | null }
  | { kind: 'alive' };

/** Headers and query, which identify the client's vendor if the path alone doesn't. */
type Marks = { headers: Readonly<Record<string, unknown>>; query: URLSearchParams };

type RouteRule = {
  methods: readonly string[];
  path: RegExp;
  /** Name in traces. */
  name: string;
  route(match: RegExpExecArray, marks: Marks): Route;
};

const asking = (door: Door, name: string): RouteRule => ({
  methods: ['POST'],
  path: new RegExp(`^${name}$`),
  name,
  route: () => ({ kind: 'ask', door }),
});

const decoded = (text: string | undefined): string | null => {
  if (text === undefined || text === '') return null;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** Gemini has the model in the path; its name may contain slashes. */
const geminiPath = /^\/v1(?:beta|alpha)?\/models\/(.+):(generateContent|streamGenerateContent|countTokens)$/;

/** `GET /v1/models` belongs to OpenAI, to Anthropic and, for clients of the stable version, to Google. */
function modelsDoorOf({ headers, query }: Marks): { door: Door; listing: ModelListing } {
  if (headers['anthropic-version'] !== undefined) return { door: messagesDoor, listing: anthropicModels };
  const google = headers['x-goog-api-key'] ?? headers['x-goog-api-client'] ?? query.get('key') ?? undefined;
  return google === undefined ? { door: chatDoor, listing: openAiModels } : { door: geminiDoor, listing: geminiModels };
}

const verbOfModel = /^\/v1(?:beta|alpha)?\/models\/.+:[a-zA-Z]+$/;

const rules: readonly RouteRule[] = [
  asking(chatDoor, '/v1/chat/completions'),
  asking(responsesDoor, '/v1/responses'),
  asking(messagesDoor, '/v1/messages'),
  {
    methods: ['POST'],
    path: /^\/v1\/messages\/count_tokens$/,
    name: '/v1/messages/count_tokens',
    route: () => ({ kind: 'count', door: messagesDoor, answer: (tokens) => ({ input_tokens: tokens }) }),
  },
  {
    methods: ['POST'],
    path: geminiPath,
    name: '/v1beta/models/{model}',
    route: ([, , verb]) =>
      verb === 'countTokens'
        ? { kind: 'count', door: geminiDoor, answer: (tokens) => ({ totalTokens: tokens }) }
        : { kind: 'ask', door: geminiDoor },
  },
  asking(ollamaDoor, '/api/chat'),
  {
    methods: ['GET'],
    path: /^\/v1\/models(?:\/(.+))?$/,
    name: '/v1/models',
    route: ([, model], marks) => ({ kind: 'models', ...modelsDoorOf(marks), model: decoded(model) }),
  },
  {
    methods: ['GET'],
    path: /^\/v1(?:beta|alpha)\/models(?:\/(.+))?$/,
    name: '/v1beta/models',
    route: ([, model]) => ({ kind: 'models', door: geminiDoor, listing: geminiModels, model: decoded(model) }),
  },
  {
    methods: ['GET'],
    path: /^\/api\/tags$/,
    name: '/api/tags',
    route: () => ({ kind: 'models', door: ollamaDoor, listing: ollamaTags, model: null }),
  },
  { methods: ['GET', 'HEAD'], path: /^\/$/, name: '/', route: () => ({ kind: 'alive' }) },
];

/** Returns null if the path is unknown, and the allowed `methods` if only the method is wrong. */
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
    // Google's verbs that aren't supported (`:embedContent`) must not be taken for a model's name.
    if (!verbOfModel.test(path)) methods = [...methods, ...rule.methods];
  }
  return methods.length === 0 ? null : { methods };
}

/** Endpoint whose format the error of a failed request has. */
export function doorOf(path: string, marks: Marks): Door {
  if (path.startsWith('/v1/messages')) return messagesDoor;
  if (path.startsWith('/v1/responses')) return responsesDoor;
  if (path.startsWith('/v1beta/') || path.startsWith('/v1alpha/') || geminiPath.test(path)) return geminiDoor;
  if (/^\/v1\/models(?:\/|$)/.test(path)) return modelsDoorOf(marks).door;
  return path.startsWith('/api/') ? ollamaDoor : chatDoor;
}
