/**
 * The provider port: all that the gateway knows of a model provider, on one page.
 *
 * A provider is a pure mapping to and from its wire plus one place that does I/O. It asks once, and neither retries nor falls back nor
 * stores: that is the gateway's, the same for all.
 */
import type { finishReasonSchema, ModelMessage, ModelProvider, Owner, ToolDefinition } from '@coppice/contracts';
import type { z } from 'zod';

export type FinishReason = z.output<typeof finishReasonSchema>;

/** Arguments are text as the model wrote it: meant to be JSON, and not always. */
export type ProviderToolCall = { id: string; name: string; arguments: string };

/** A part of a message as providers see it: what the contract holds by reference is read by then. */
export type ProviderPart =
  | { type: 'text'; text: string }
  | ({ type: 'tool-call' } & ProviderToolCall)
  | { type: 'tool-result'; callId: string; name: string; content: string; isError: boolean };

export type ProviderMessage = { role: ModelMessage['role']; content: readonly ProviderPart[] };

export type ModelRequest = {
  /** The model as the provider names it: what follows the first slash of `provider/model`. */
  model: string;
  /** The whole conversation. */
  messages: readonly ProviderMessage[];
  tools: readonly ToolDefinition[];
};

export type RequestContext = {
  /** Aborted by the time limit, by cancellation, or when the process stops. The upstream call is then to be ended. */
  signal: AbortSignal;
  /** The same each time this very turn is asked for: fit for a provider's idempotency key. */
  effectId: string;
  owner: Owner;
};

/** Counts so far, not increments: of each, the last that came is valid. A missing one isn't known yet. */
export type UsageSoFar = {
  /** Cached ones included. */
  inputTokens?: number;
  /** Reasoning included. */
  outputTokens?: number;
  /** Those of `inputTokens` that the provider had cached. */
  cachedInputTokens?: number;
  /** Those of `outputTokens` that the model thought with. */
  reasoningTokens?: number;
  costUsd?: number;
};

/**
 * A piece of the answer. Semantic output, after which a turn is never asked for again by the gateway itself, is `text-delta` and `tool-call-delta`.
 *
 * A tool call comes in one piece or many: `call` counts the answer's calls from 0; its id and name come with any one of its pieces (a call that gets no id
 * is given one by the gateway), and its arguments are what all its pieces hold, one after the other. It is whole at `response-end`, never before,
 * even where its arguments happen to be JSON already. Which piece belongs to which call is the wire's riddle, and the provider's to solve.
 */
export type ModelDelta =
  | { type: 'response-start'; responseModel: string }
  | { type: 'text-delta'; text: string }
  | { type: 'tool-call-delta'; call: number; id?: string; name?: string; arguments: string }
  | { type: 'usage'; usage: UsageSoFar }
  | { type: 'response-end'; finishReason: FinishReason };

export type Provider = {
  /** The part of `provider/model` before the first slash. */
  name: string;
  /**
   * Asks for one turn. The stream ends after `response-end`; one that ends without it was cut, which the gateway treats as a failure.
   *
   * Failure contract: throws CoppiceError `model-not-found`; `invalid-request` where the provider refuses the request as such;
   * `context-exceeded` where the conversation is too long for the model;
   * `provider-limited` with `details.retryAfterMs` where it says how long to wait; `provider-failed` otherwise, with `retryable` set from the
   * answer (a spend limit that is reached isn't). Anything else thrown is a defect.
   */
  stream(request: ModelRequest, context: RequestContext): AsyncIterable<ModelDelta>;
  /**
   * Throws what a turn of this model would surely fail with, as far as that is known without asking anybody: a key or a script that isn't there.
   * Failure contract: as `stream`'s.
   */
  check(model: string): Promise<void>;
  /** Looks whether it can be used, without costs and within the signal's time. Never throws. */
  describe(signal: AbortSignal): Promise<Omit<ModelProvider, 'name'>>;
  /** Ends idle connections. */
  close?(): Promise<void>;
};
