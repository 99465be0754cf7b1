/**
 * The provider port: all that the gateway knows of a model provider, on one page.
 *
 * A provider is a pure mapping to and from its wire format plus one place that does I/O. It sends a request once. Retries, fallback and storage
 * are done by the gateway, in the same way for all providers.
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

/** `arguments` is the text that the model wrote. It should be JSON but may not be. */
export type ProviderToolCall = { id: string; name: string; arguments: string; signature?: Signature | undefined };

/** `mediaType` is known if the image is inline. */
export type ProviderImage = { mediaType: string; base64: string } | { mediaType?: string; url: string };

/** `redacted`: the provider hides the text and sends only a signature. */
export type ProviderThinking = { text: string; redacted: boolean; signature?: Signature | undefined };

/** A part of a message for a provider. Content that the contract holds by reference has been loaded. */
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

/** A client's request, in the wire format in which a gateway endpoint received it. */
export type OriginalRequest = {
  wire: EndpointFormat;
  body: Readonly<Record<string, unknown>>;
  /** Headers that the vendor documents for clients, e.g. `anthropic-beta`. Names in lower case; never one that holds a key. */
  headers: Readonly<Record<string, string>>;
  /** True if the gateway removed content of another provider from the body, which the vendor would reject. */
  foreignTaken?: boolean;
  /** The gateway's output limit, in tokens, if the client set none. */
  maxOutputTokens?: number;
};

export type ModelRequest = {
  /** The provider's name for the model: the part of `provider/model` after the first slash. */
  model: string;
  /** The whole conversation. */
  messages: readonly ProviderMessage[];
  tools: readonly ToolDefinition[];
  settings: ModelSettings;
  /** True to request a streamed answer; the default. */
  stream?: boolean;
  /** A provider with the same wire format sends this instead, with its model replaced, so that fields that the gateway doesn't know are kept. */
  original?: OriginalRequest;
  /** Size of the body that the gateway endpoint received, in bytes. */
  bytes?: number;
};

/**
 * The state of a request, as far as it matters for cost. `sent`: the provider has it and may charge for it, even before it answers; vendors send nothing, not even a
 * status, until an unstreamed answer is complete. `refused`: it answered with an error, or isn't a model server. `over`: the whole answer arrived, or the connection
 * broke; the provider generates nothing more for it.
 */
export type RequestState = 'sent' | 'refused' | 'over';

export type RequestContext = {
  /** Aborted by the time limit, by cancellation, or when the process stops. The upstream call must end then. */
  signal: AbortSignal;
  /** The same for each attempt at this model call: usable as a provider's idempotency key. */
  effectId: string;
  owner: Owner;
  /** Number of gateways that the request passed before this one; default 0. */
  hops?: number;
  /** Called when the state changes. */
  onState?: (state: RequestState) => void;
  /** Called if the answer says that it used up the provider's limits, with the milliseconds until the provider answers again. */
  onUsedUp?: (forMs: number) => void;
};

/** Totals so far, not increments: the last value of each count is valid. A missing count isn't known yet. */
export type UsageSoFar = {
  /** Includes tokens read from the cache and written to it. */
  inputTokens?: number;
  /** Includes reasoning tokens. */
  outputTokens?: number;
  /** The part of `inputTokens` read from the provider's cache. */
  cachedInputTokens?: number;
  /** The part of `inputTokens` written to the provider's cache. */
  cacheWriteInputTokens?: number;
  /** The part of `cacheWriteInputTokens` that is kept for an hour. This count and those of audio and images have separate prices, and aren't reported to clients. */
  cacheWriteHourInputTokens?: number;
  audioInputTokens?: number;
  /** The part of `audioInputTokens` read from the provider's cache. */
  cachedAudioInputTokens?: number;
  audioOutputTokens?: number;
  imageOutputTokens?: number;
  /** The part of `outputTokens` used for thinking. */
  reasoningTokens?: number;
  /** The cost that the provider itself reports. */
  costUsd?: number;
};

/**
 * A piece of the answer. `text-delta`, `thinking-delta` and `tool-call-delta` are output: after the first of them the gateway tries no other provider.
 *
 * A tool call comes in one or more pieces. `call` numbers the answer's calls from 0. Any one of the pieces holds the id and the name (the gateway generates an id
 * if none comes). The arguments are those of all pieces, concatenated. A call is complete only at `response-end`, even if its arguments are valid JSON before.
 * The provider assigns pieces to calls; wire formats differ in how they mark that.
 * `block` numbers blocks of thinking in the same way. A signature comes whole, with any one piece of its part.
 *
 * `lost` names content of the answer that no delta can represent.
 *
 * `raw` holds the received data unchanged, before the deltas that it maps to. It is sent only for a request with an `original` in the provider's own wire format;
 * the gateway endpoint passes it on. `whole`: `data` is the body of an unstreamed answer.
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

/** Deltas that arrive together are yielded together: each step of an async iteration costs the same, however much it carries. */
export type ModelDeltas = AsyncIterable<readonly ModelDelta[]>;

export type Provider = {
  /** The part of `provider/model` before the first slash. */
  name: string;
  /** The wire format of requests to it; null for a provider that is no server. */
  wire: WireName | null;
  /**
   * Makes one model call. The stream ends after `response-end`; a stream that ends without it was cut, which the gateway treats as a failure.
   *
   * Failure contract: throws CoppiceError `model-not-found`; `invalid-request` if the provider rejects the request itself;
   * `context-exceeded` if the conversation is too long for the model;
   * `provider-limited`, with `details.retryAfterMs` if the provider says how long to wait; `provider-failed` otherwise, with `retryable` set from the
   * answer (false for a reached spend limit); `unavailable` if the gateway has no memory left for the answer; `limit-exceeded` if the answer exceeds a limit.
   * Anything else thrown is a defect.
   */
  stream(request: ModelRequest, context: RequestContext): ModelDeltas;
  /**
   * Throws the error that a call of this model is known to fail with, without any request: a missing key or script.
   * Failure contract: as `stream`'s.
   */
  check(model: string): Promise<void>;
  /** Reports whether the provider is usable, at no cost and until the signal aborts. Lists up to `modelsMax` models; the default is small. Never throws. */
  describe(signal: AbortSignal, modelsMax?: number): Promise<Omit<ModelProvider, 'name'>>;
  /** Ends idle connections. */
  close?(): Promise<void>;
};
