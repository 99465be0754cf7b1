/**
 * The provider port: everything that the gateway knows about a model provider, on one page.
 *
 * A provider consists of pure mappings to and from its wire format, and one place that does I/O. It sends each request once. The gateway does retries, failover
 * and storage, in the same way for all providers.
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

/** A tool call of the model. `arguments` is the text that the model wrote, which should be JSON but may not be. */
export type ProviderToolCall = { id: string; name: string; arguments: string; signature?: Signature | undefined };

/** An image, inline or by URL. `mediaType` is always known for an inline image. */
export type ProviderImage = { mediaType: string; base64: string } | { mediaType?: string; url: string };

/** Thinking of the model. If `redacted`, the provider hides the text and sends only a signature. */
export type ProviderThinking = { text: string; redacted: boolean; signature?: Signature | undefined };

/** A part of a message for a provider. Content that the contract allows by reference has been loaded. */
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
  /** Headers that the vendor documents for clients, e.g. `anthropic-beta`, with names in lower case. Never includes a header with a key. */
  headers: Readonly<Record<string, string>>;
  /** True if the gateway removed another provider's content from the body, since the vendor would reject that content. */
  foreignTaken?: boolean;
  /** Output limit that the gateway sets, in tokens, if the client set none. */
  maxOutputTokens?: number;
};

export type ModelRequest = {
  /** The provider's name for the model: the part of `provider/model` after the first slash. */
  model: string;
  /** The whole conversation. */
  messages: readonly ProviderMessage[];
  tools: readonly ToolDefinition[];
  settings: ModelSettings;
  /** True to request a streamed answer; default true. */
  stream?: boolean;
  /** A provider of the same wire format sends this body with another model name, so that fields that the gateway doesn't know are kept. */
  original?: OriginalRequest;
  /** Size of the body that the gateway endpoint received, in bytes. */
  bytes?: number;
};

/**
 * The state of a request, as far as it affects the cost. `sent`: the provider has received the request and may charge for it, even before it sends anything,
 * since vendors don't send the status of an unstreamed answer before the answer is complete. `refused`: the provider answered with an error, or isn't a model
 * server. `over`: the whole answer arrived, or the connection broke, so the provider generates nothing more.
 */
export type RequestState = 'sent' | 'refused' | 'over';

export type RequestContext = {
  /** Aborted by the time limit, by cancellation, or when the process stops. An abort must end the upstream call. */
  signal: AbortSignal;
  /** Id that is the same for all attempts of this model call. It can be used as a provider's idempotency key. */
  effectId: string;
  owner: Owner;
  /** Number of gateways that the request passed before this one; default 0. */
  hops?: number;
  /** Called when the state changes. */
  onState?: (state: RequestState) => void;
  /** Called if the answer's headers state that a limit of the provider is used up, with the milliseconds until the provider accepts requests again. */
  onUsedUp?: (forMs: number) => void;
};

/** Total usage so far. These are not increments: the last value of each count is valid. A missing count is not known yet. */
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
   * Part of `cacheWriteInputTokens` that the provider caches for an hour. This count and those of audio and images exist only for their separate prices, and
   * aren't reported to clients.
   */
  cacheWriteHourInputTokens?: number;
  audioInputTokens?: number;
  /** Part of `audioInputTokens` that was read from the provider's cache. */
  cachedAudioInputTokens?: number;
  audioOutputTokens?: number;
  imageOutputTokens?: number;
  /** Part of `outputTokens` that was used for thinking. */
  reasoningTokens?: number;
  /** Cost that the provider itself reports, in US dollars. */
  costUsd?: number;
};

/**
 * A piece of the answer. `text-delta`, `thinking-delta` and `tool-call-delta` are output. After the first output the gateway tries no other provider.
 *
 * A tool call consists of one or more pieces. `call` numbers the answer's tool calls from 0. The id and the name are each in one of the pieces; the gateway
 * generates a missing id. The arguments are those of all pieces, concatenated. A call is complete only at `response-end`, even if its arguments are valid JSON
 * earlier. The provider's mapping assigns pieces to calls, since wire formats differ in how they do this. `block` numbers blocks of thinking in the same way. A
 * signature is complete in one piece, which may be any piece of its part.
 *
 * `lost` names content of the answer that no delta can represent.
 *
 * `raw` contains received data unchanged. It precedes the deltas to which the data is mapped. It occurs only for a request with an `original` in the provider's
 * own wire format, and the gateway endpoint passes it on. `whole` is true if `data` is the body of an unstreamed answer.
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

/** A delta of a translated answer. */
export type TranslatedDelta = Exclude<ModelDelta, { type: 'raw' }>;

/** A delta with a part of the answer's content. */
export type OutputDelta = Extract<ModelDelta, { type: 'text-delta' | 'thinking-delta' | 'tool-call-delta' }>;

/** Deltas of an answer. Those that arrive together are yielded together, since each step of an async iteration costs the same, however many deltas it has. */
export type ModelDeltas = AsyncIterable<readonly ModelDelta[]>;

export type Provider = {
  /** The part of `provider/model` before the first slash. */
  name: string;
  /** Wire format of requests to this provider; null for a provider that isn't a server. */
  wire: WireName | null;
  /**
   * Makes one model call. The stream ends after `response-end`. A stream that ends without it was cut, and the gateway treats that as a failure.
   *
   * Failure contract: throws CoppiceError `model-not-found`; `invalid-request` if the provider rejects the request itself; `context-exceeded` if the
   * conversation is too long for the model; `provider-limited`, with `details.retryAfterMs` if the provider states a wait; `provider-failed` otherwise, with
   * `retryable` set from the answer (false for a reached spend limit); `unavailable` if the gateway has no memory left for the answer; `limit-exceeded` if the
   * answer exceeds a limit. Any other error is a defect.
   */
  stream(request: ModelRequest, context: RequestContext): ModelDeltas;
  /**
   * Throws an error if a call of this model would certainly fail, such as for a missing key or script. Sends no request. Failure contract: the same as for
   * `stream`.
   */
  check(model: string): Promise<void>;
  /** Reports whether the provider is usable, at no cost. Lists up to `modelsMax` models; the default is small. The signal ends the check. Never throws. */
  describe(signal: AbortSignal, modelsMax?: number): Promise<Omit<ModelProvider, 'name'>>;
  /** Ends idle connections. */
  close?(): Promise<void>;
};
