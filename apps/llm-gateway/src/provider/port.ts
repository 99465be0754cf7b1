/**
 * The provider port: all that the gateway knows of a model provider, on one page.
 *
 * A provider is a pure mapping to and from its wire plus one place that does I/O. It asks once, and neither retries nor falls back nor
 * stores: that is the gateway's, the same for all.
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

/** The formats in which providers are asked, and in which the gateway's own doors are. */
export const wireNames = ['openai-chat', 'openai-responses', 'anthropic', 'gemini', 'ollama'] as const;
export type WireName = (typeof wireNames)[number];

export type FinishReason = z.output<typeof finishReasonSchema>;

/** Arguments are text as the model wrote it: meant to be JSON, and not always. */
export type ProviderToolCall = { id: string; name: string; arguments: string; signature?: Signature | undefined };

/** `mediaType` is known where the image comes by value. */
export type ProviderImage = { mediaType: string; base64: string } | { mediaType?: string; url: string };

/** `redacted`: the provider hides the text, and the signature is all there is. */
export type ProviderThinking = { text: string; redacted: boolean; signature?: Signature | undefined };

/** A part of a message as providers see it: what the contract holds by reference is read by then. */
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

/** A request as it came in at a door, in that wire's own words. */
export type OriginalRequest = {
  wire: WireName;
  body: Readonly<Record<string, unknown>>;
  /** Those that the wire's vendor documents for clients to set, e.g. `anthropic-beta`; lower case, and never one with a key. */
  headers: Readonly<Record<string, string>>;
  /** Whether there was something of another provider's in it, which the wire's vendor refuses, and which was taken out. */
  foreignTaken?: boolean;
  /** What the gateway limits the answer to, where the client named no maximum. */
  maxOutputTokens?: number;
};

export type ModelRequest = {
  /** The model as the provider names it: what follows the first slash of `provider/model`. */
  model: string;
  /** The whole conversation. */
  messages: readonly ProviderMessage[];
  tools: readonly ToolDefinition[];
  settings: ModelSettings;
  /** Whether the provider is asked to tell the answer as it comes; default true. */
  stream?: boolean;
  /** A provider of the same wire sends this instead, its model replaced, so that fields that the gateway doesn't know get through. */
  original?: OriginalRequest;
  /** Of the body in which it came in at a door. */
  bytes?: number;
};

/**
 * How far a request has come, as far as it tells what it costs. `sent`: the provider has it, and may be paid for it though it has yet to say a word; vendors answer
 * nothing, not even a status, before a whole answer is made. `refused`: it answers with an error, or isn't a model's server. `over`: a whole answer is there, or the connection
 * broke: the provider makes no more of it.
 */
export type RequestState = 'sent' | 'refused' | 'over';

export type RequestContext = {
  /** Aborted by the time limit, by cancellation, or when the process stops. The upstream call is then to be ended. */
  signal: AbortSignal;
  /** The same each time this very turn is asked for: fit for a provider's idempotency key. */
  effectId: string;
  owner: Owner;
  /** Through how many gateways the request came to this one; default 0. */
  hops?: number;
  /** Told as the request gets on. */
  onState?: (state: RequestState) => void;
  /** Told for how many milliseconds the provider will answer nothing more, where an answer says that its limits are used up with it. */
  onUsedUp?: (forMs: number) => void;
};

/** Counts so far, not increments: of each, the last that came is valid. A missing one isn't known yet. */
export type UsageSoFar = {
  /** Cached ones and those that were cached now included. */
  inputTokens?: number;
  /** Reasoning included. */
  outputTokens?: number;
  /** Those of `inputTokens` that the provider had cached. */
  cachedInputTokens?: number;
  /** Those of `inputTokens` that the provider cached now. */
  cacheWriteInputTokens?: number;
  /** Those of `cacheWriteInputTokens` that it keeps for an hour. This and what is sound or a picture has prices of its own, and is told to nobody. */
  cacheWriteHourInputTokens?: number;
  audioInputTokens?: number;
  /** Those of `audioInputTokens` that the provider had cached. */
  cachedAudioInputTokens?: number;
  audioOutputTokens?: number;
  imageOutputTokens?: number;
  /** Those of `outputTokens` that the model thought with. */
  reasoningTokens?: number;
  /** As the provider itself tells it. */
  costUsd?: number;
};

/**
 * A piece of the answer. Semantic output, after which no other provider is asked, is `text-delta`, `thinking-delta` and `tool-call-delta`.
 *
 * A tool call comes in one piece or many: `call` counts the answer's calls from 0; its id and name come with any one of its pieces (a call that gets no id
 * is given one by the gateway), and its arguments are what all its pieces hold, one after the other. It is whole at `response-end`, never before,
 * even where its arguments happen to be JSON already. Which piece belongs to which call is the wire's riddle, and the provider's to solve.
 * `block` counts blocks of thinking in the same way. A signature is told whole, with any one piece of its part.
 *
 * `lost` names what the answer holds that no delta can tell.
 *
 * `raw` is what came as it came, before the deltas that it was mapped to. It is told only for a request with `original` that the provider's wire is the
 * same as: the door then passes it on. `whole`: `data` is the body of an answer that wasn't streamed.
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

/** What comes together is handed on together: each step of a stream takes its time, whatever it carries. */
export type ModelDeltas = AsyncIterable<readonly ModelDelta[]>;

export type Provider = {
  /** The part of `provider/model` before the first slash. */
  name: string;
  /** The format in which it is asked; null for one that is asked in none. */
  wire: WireName | null;
  /**
   * Asks for one turn. The stream ends after `response-end`; one that ends without it was cut, which the gateway treats as a failure.
   *
   * Failure contract: throws CoppiceError `model-not-found`; `invalid-request` where the provider refuses the request as such;
   * `context-exceeded` where the conversation is too long for the model;
   * `provider-limited` with `details.retryAfterMs` where it says how long to wait; `provider-failed` otherwise, with `retryable` set from the
   * answer (a spend limit that is reached isn't); `unavailable` where the gateway itself has no room for the answer; `limit-exceeded` where that has no end. Anything else thrown is a defect.
   */
  stream(request: ModelRequest, context: RequestContext): ModelDeltas;
  /**
   * Throws what a turn of this model would surely fail with, as far as that is known without asking anybody: a key or a script that isn't there.
   * Failure contract: as `stream`'s.
   */
  check(model: string): Promise<void>;
  /** Looks whether it can be used, without costs and within the signal's time. `modelsMax` of its models are told, by default some few. Never throws. */
  describe(signal: AbortSignal, modelsMax?: number): Promise<Omit<ModelProvider, 'name'>>;
  /** Ends idle connections. */
  close?(): Promise<void>;
};
