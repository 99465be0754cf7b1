/**
 * The provider port. It contains everything that the gateway knows about a model provider.
 *
 * A provider has pure mappings to and from its wire format, and one function that does I/O. It sends each request once.
 * The gateway does retries, failover and storage in the same way for all providers.
 */
import type {
  finishReasonSchema,
  ModelMessage,
  ModelProvider,
  ModelSettings,
  Owner,
  Signature,
  ToolDefinition,
} from '@coppice/contracts';
import type { z } from 'zod';
import type { EndpointFormat } from '../ingress/http/endpoint-formats.ts';
import type { WireName } from '../wires/registry.ts';

export type { WireName };

export type FinishReason = z.output<typeof finishReasonSchema>;

/** A tool call of the model. `arguments` is the text that the model wrote. It may be invalid JSON. */
export type ProviderToolCall = { id: string; name: string; arguments: string; signature?: Signature | undefined };

export type ProviderImage = { mediaType: string; base64: string } | { mediaType?: string; url: string };

/** If it is `redacted`, the provider hides the text and sends only a signature. */
export type ProviderThinking = { text: string; redacted: boolean; signature?: Signature | undefined };

/** A part of a message. The gateway has already loaded content that the message references. */
export type ProviderPart =
  | { type: 'text'; text: string; signature?: Signature | undefined }
  | { type: 'image'; image: ProviderImage }
  | ({ type: 'thinking' } & ProviderThinking)
  | ({ type: 'tool-call' } & ProviderToolCall)
  | {
      type: 'tool-result';
      callId: string;
      name: string;
      content: string;
      images?: readonly ProviderImage[];
      isError: boolean;
    };

export type ProviderMessage = { role: ModelMessage['role']; content: readonly ProviderPart[] };

/** A client's request in the wire format in which a gateway endpoint received it. */
export type OriginalRequest = {
  wire: EndpointFormat;
  body: Readonly<Record<string, unknown>>;
  /**
   * Headers that the vendor documents for clients, for example `anthropic-beta`, with names in lower case. A header
   * with a key is never included.
   */
  headers: Readonly<Record<string, string>>;
  /** True if the gateway removed another provider's content from the body, which the vendor would reject. */
  foreignTaken?: boolean;
  /** Output limit in tokens, if the gateway set one. It never replaces a limit of the client. */
  maxOutputTokens?: number;
};

export type ModelRequest = {
  /** The provider's name for the model, which is the part of `provider/model` after the first slash. */
  model: string;
  /** The whole conversation. */
  messages: readonly ProviderMessage[];
  tools: readonly ToolDefinition[];
  settings: ModelSettings;
  stream?: boolean;
  /**
   * A provider of the same wire format sends this body with another model name. So fields that the gateway doesn't know
   * aren't lost.
   */
  original?: OriginalRequest;
  /** Size of the body that the gateway endpoint received, in bytes. */
  bytes?: number;
};

/**
 * The state of a request, as far as it affects the cost:
 * - `sent`: the provider has received the request and may charge for it. It may do so before it sends anything, since
 *   vendors send the status of an unstreamed answer only with the complete answer.
 * - `refused`: the provider answered with an error, or isn't a model server.
 * - `over`: the whole answer arrived, or the connection broke, so the provider generates nothing more.
 */
export type RequestState = 'sent' | 'refused' | 'over';

export type RequestContext = {
  /**
   * Aborted by the time limit, by cancellation, or when the process stops. The provider must then end the upstream
   * call.
   */
  signal: AbortSignal;
  /** The same for all attempts of this model call, so it can be the idempotency key for the provider. */
  effectId: string;
  owner: Owner;
  /** Number of gateways that forwarded the request before this one. Default: 0. */
  hops?: number;
  onState?: (state: RequestState) => void;
  /**
   * Called if the answer's headers state that a limit of the provider is exhausted. `forMs` is the time in milliseconds
   * until the provider accepts requests again.
   */
  onUsedUp?: (forMs: number) => void;
};

/** Usage so far. Each count is a total, and a later value replaces it. A missing count isn't known yet. */
export type UsageSoFar = {
  /** Includes tokens read from the cache and written to it. */
  inputTokens?: number;
  /** Includes reasoning tokens. */
  outputTokens?: number;
  /** Part of `inputTokens` that was read from the provider's cache. */
  cachedInputTokens?: number;
  /** Part of `inputTokens` that was written to the provider's cache. */
  cacheWriteInputTokens?: number;
  /**
   * Part of `cacheWriteInputTokens` that the provider caches for an hour. This count and the counts of audio and images
   * have their own prices, and aren't reported to clients.
   */
  cacheWriteHourInputTokens?: number;
  audioInputTokens?: number;
  /** Part of `audioInputTokens` that was read from the provider's cache. */
  cachedAudioInputTokens?: number;
  audioOutputTokens?: number;
  imageOutputTokens?: number;
  /** Part of `outputTokens` that is thinking. */
  reasoningTokens?: number;
  /** Cost in US dollars that the provider itself reports. */
  costUsd?: number;
};

/**
 * A piece of the answer. `text-delta`, `thinking-delta` and `tool-call-delta` are output. After the first output, the
 * gateway tries no other provider.
 *
 * A tool call consists of one or more pieces. `call` numbers the answer's tool calls from 0, and `block` numbers its
 * blocks of thinking from 0. Since wire formats differ, the provider's mapping assigns each piece to its call. The id
 * and the name of a call are each in one of its pieces. The gateway generates a missing id. The arguments of a call are
 * the arguments of its pieces, concatenated. A call is complete only at `response-end`, even if its arguments are valid
 * JSON earlier. A signature is complete in one piece, which may be any piece of the call, block or text.
 *
 * `lost` names content of the answer that no delta can represent.
 *
 * `raw` contains received data unchanged, and the deltas for this data follow it. It occurs only for a request with an
 * `original` in the provider's own wire format. The gateway endpoint passes it on. `whole` is true if `data` is the
 * body of an unstreamed answer.
 */
export type ModelDelta =
  | { type: 'raw'; whole: boolean; name: string | null; data: string }
  | { type: 'response-start'; responseModel?: string; responseId?: string }
  | { type: 'text-delta'; text: string; signature?: Signature | undefined }
  | { type: 'thinking-delta'; block: number; text: string; redacted?: boolean; signature?: Signature | undefined }
  | {
      type: 'tool-call-delta';
      call: number;
      id?: string;
      name?: string;
      arguments: string;
      signature?: Signature | undefined;
    }
  | { type: 'usage'; usage: UsageSoFar }
  | { type: 'response-end'; finishReason: FinishReason; providerFinishReason?: string; lost?: string };

/** A delta of an answer that the gateway translates. */
export type TranslatedDelta = Exclude<ModelDelta, { type: 'raw' }>;

export type OutputDelta = Extract<ModelDelta, { type: 'text-delta' | 'thinking-delta' | 'tool-call-delta' }>;

/**
 * Deltas of an answer. Deltas that arrive together are yielded together, since each step of an async iteration has a
 * fixed cost.
 */
export type ModelDeltas = AsyncIterable<readonly ModelDelta[]>;

export type Provider = {
  name: string;
  /** Wire format of requests to this provider; null for a provider that isn't a server. */
  wire: WireName | null;
  /**
   * Makes one model call. If the stream ends without `response-end`, the answer was cut, and the gateway treats the
   * call as failed.
   *
   * Failure contract: any error other than these CoppiceErrors is a defect.
   * - `model-not-found`
   * - `invalid-request` if the provider rejects the request itself
   * - `context-exceeded` if the conversation is too long for the model
   * - `provider-limited`, with `details.retryAfterMs` if the provider states a wait
   * - `unavailable` if the gateway has no memory left for the answer
   * - `limit-exceeded` if the answer exceeds a limit
   * - `provider-failed` otherwise. `retryable` depends on the answer, and is false for a reached spend limit, for
   *   example
   */
  stream(request: ModelRequest, context: RequestContext): ModelDeltas;
  /**
   * Throws an error if a call of this model would certainly fail, for example because a key or a script is missing.
   * Sends no request. The failure contract of `stream` applies.
   */
  check(model: string): Promise<void>;
  /**
   * Reports whether the provider is usable, at no cost. Lists up to `modelsMax` models, by default only a few. The
   * signal ends the check. Never throws.
   */
  describe(signal: AbortSignal, modelsMax?: number): Promise<Omit<ModelProvider, 'name'>>;
  /** Closes the provider's connections. */
  close?(): Promise<void>;
};
