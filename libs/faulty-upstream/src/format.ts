/**
 * The interface of a wire format. Formats are pure functions that follow the vendor's documentation.
 *
 * They share no code with the gateway, whose readers are tested with these answers. A mistake in shared code would stay
 * hidden.
 */
import type { IncomingHttpHeaders } from 'node:http';

export type FormatName = 'openai-chat' | 'openai-responses' | 'anthropic' | 'gemini' | 'ollama';

export type Fields = Readonly<Record<string, unknown>>;

export type RequestLine = { method: string; path: string; query: URLSearchParams; headers: IncomingHttpHeaders };

export type AnswerRequest = {
  model: string;
  stream: boolean;
  body: Fields;
  query: URLSearchParams;
  /** Letters and digits for the ids in the answer. */
  id: string;
  now: Date;
};

export type Framing = 'server-sent-events' | 'json-lines' | 'json-array';

/** An event of a stream. `data` is a string if it isn't JSON. */
export type StreamEvent = { name?: string; data: object | string };

export type Stream = {
  framing: Framing;
  /** Events before any output. */
  opening: readonly StreamEvent[];
  /** Returns the event for one of `answerPieces`. */
  piece: (text: string, index: number) => StreamEvent;
  /** Events that complete the answer. */
  ending: readonly StreamEvent[];
  /** Events that report an overload and end the stream. */
  overloaded: readonly StreamEvent[];
};

export type ErrorAnswer = { status: number; body: object };

export type Format = {
  name: FormatName;
  /** Returns the purpose of a request, or null if the request isn't in this format. */
  kind(line: RequestLine): 'answer' | 'token-count' | 'models' | null;
  /** Returns the requested model, and whether the client requests a stream. */
  read(line: RequestLine, body: Fields): { model: unknown; stream: boolean };
  stream(request: AnswerRequest): Stream;
  whole(request: AnswerRequest): object;
  /** Returns a body with status 200 that reports an overload. */
  overloaded(request: AnswerRequest): object;
  error(status: number, message: string): object;
  spent: ErrorAnswer;
  refusedKey: ErrorAnswer;
  models(names: readonly string[]): object;
  /** Answer to a token count; null if the vendor counts no tokens. */
  tokenCount: object | null;
};
