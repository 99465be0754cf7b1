/**
 * The provider port: all that the gateway knows of a model provider, on one page.
 *
 * A provider is a pure mapping to and from its wire plus one place that does I/O. It asks once, and neither retries nor falls back nor
 * stores: that is the gateway's, the same for all.
 */
import type { ContentPart, finishReasonSchema, ModelMessage, Owner } from '@coppice/contracts';
import type { z } from 'zod';

export type FinishReason = z.output<typeof finishReasonSchema>;

/** A message as providers see it: what the contract holds by reference is read by then. */
export type ProviderMessage = {
  role: ModelMessage['role'];
  content: Exclude<ContentPart, { type: 'text-artifact' }>[];
};

export type ModelRequest = {
  /** The model as the provider names it: what follows the first slash of `provider/model`. */
  model: string;
  messages: ProviderMessage[];
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
  costUsd?: number;
};

/**
 * A piece of the answer. Tool calls and thinking join this union with the loop agent.
 * Semantic output, after which a turn is never asked for again by the gateway itself, is `text-delta`.
 */
export type ModelDelta =
  | { type: 'response-start'; responseModel: string }
  | { type: 'text-delta'; text: string }
  | { type: 'usage'; usage: UsageSoFar }
  | { type: 'response-end'; finishReason: FinishReason };

export type Provider = {
  /** The part of `provider/model` before the first slash. */
  name: string;
  /**
   * Asks for one turn. The stream ends after `response-end`; one that ends without it was cut, which the gateway treats as a failure.
   *
   * Failure contract: throws CoppiceError `model-not-found`; `invalid-request` where the provider refuses the request as such;
   * `provider-limited` with `details.retryAfterMs` where it says how long to wait; `provider-failed` otherwise, with `retryable` set from the
   * answer (a spend limit that is reached isn't). Anything else thrown is a defect.
   */
  stream(request: ModelRequest, context: RequestContext): AsyncIterable<ModelDelta>;
};
