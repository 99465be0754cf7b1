/** Calculates the cost of calls. Only this module imports the price list. */
import { calcPrice, findProvider } from '@pydantic/genai-prices';
import type { Provider as ListedProvider } from '@pydantic/genai-prices';
import { LRUCache } from 'lru-cache';
import type { UsageSoFar } from '../provider/port.ts';

export type Prices = {
  /**
   * Returns the cost in US dollars. The configured price comes first, then the cost that the usage reports, then the
   * price list. Returns null if none of these exists.
   */
  costOf(provider: string, model: string, usage: UsageSoFar): number | null;
  /** Returns the reason why a price isn't known, as text to append after a comma. Empty if the reason isn't known. */
  whyUnknown(provider: string, model: string): string;
};

/** Configured price, in US dollars per million tokens. */
export type OwnPrice = {
  /** `provider/model`, where `*` matches any text. */
  model: string;
  input: number;
  output: number;
  /** Default: `input`. */
  cachedInput?: number | undefined;
  cacheWriteInput?: number | undefined;
  /** Price of tokens that are cached for an hour. Default: `cacheWriteInput`. */
  cacheWriteHourInput?: number | undefined;
  /** Price of audio input that isn't read from a cache. Default: `input`. */
  audioInput?: number | undefined;
};

export type PricesSettings = {
  /** Configured prices. The first one whose `model` matches applies. */
  own: readonly OwnPrice[];
  /**
   * Returns a provider's base URL, or null for a provider without HTTP. The vendor is found by this URL, since a
   * vendor's price doesn't apply to a model of the same name on another server.
   */
  baseUrlOf: (provider: string) => string | null;
};

export const noPrices: Prices = { costOf: (_provider, _model, { costUsd }) => costUsd ?? null, whyUnknown: () => '' };

/** Maximum number of models whose entry in the price list is cached. */
const rememberedMax = 1_000;
const million = 1_000_000;

export function pricesFrom({ own, baseUrlOf }: PricesSettings): Prices {
  const ownPrices = own.map((price) => ({ price, pattern: patternOf(price.model) }));
  const listed = new LRUCache<string, { entry: ListedProvider | null }>({ max: rememberedMax });
  const find = (provider: string, model: string): ListedProvider | null => {
    const key = `${provider}/${model}`;
    const known = listed.get(key);
    if (known !== undefined) return known.entry;
    const entry = listedModel(baseUrlOf(provider), model);
    listed.set(key, { entry });
    return entry;
  };
  return {
    costOf: (provider, model, usage) => {
      const ownPrice = ownPrices.find(({ pattern }) => pattern.test(`${provider}/${model}`))?.price;
      if (ownPrice !== undefined) return ownCost(ownPrice, tokensOf(usage));
      if (usage.costUsd !== undefined) return usage.costUsd;
      const entry = find(provider, model);
      return entry === null ? null : listedCost(entry, model, tokensOf(usage));
    },
    whyUnknown: (provider) => {
      const baseUrl = baseUrlOf(provider);
      if (baseUrl === null) return '';
      if (vendorAt(baseUrl) !== undefined) return "since its vendor's price list doesn't name it";
      return `since its requests go to ${new URL(baseUrl).host}, not at a vendor of the price list`;
    },
  };
}

const vendorAt = (baseUrl: string) => findProvider({ providerApiUrl: baseUrl });

const patternOf = (glob: string): RegExp =>
  new RegExp(
    `^${glob
      .split('*')
      .map((part) => RegExp.escape(part))
      .join('.*')}$`,
    's',
  );

type Tokens = {
  input: number;
  cached: number;
  written: number;
  writtenForHour: number;
  audio: number;
  cachedAudio: number;
  output: number;
  audioOutput: number;
  imageOutput: number;
};

/** Caps the counts, since some servers report more cached tokens than input tokens. */
function tokensOf(usage: UsageSoFar): Tokens {
  const { inputTokens: input = 0, outputTokens: output = 0 } = usage;
  const cached = Math.min(usage.cachedInputTokens ?? 0, input);
  const written = Math.min(usage.cacheWriteInputTokens ?? 0, input - cached);
  const audio = Math.min(usage.audioInputTokens ?? 0, input - written);
  const cachedAudioMin = Math.max(0, audio + cached + written - input);
  const audioOutput = Math.min(usage.audioOutputTokens ?? 0, output);
  return {
    input,
    cached,
    written,
    writtenForHour: Math.min(usage.cacheWriteHourInputTokens ?? 0, written),
    audio,
    cachedAudio: Math.min(Math.max(usage.cachedAudioInputTokens ?? 0, cachedAudioMin), audio, cached),
    output,
    audioOutput,
    imageOutput: Math.min(usage.imageOutputTokens ?? 0, output - audioOutput),
  };
}

function ownCost(price: OwnPrice, tokens: Tokens): number {
  const { input, output, cachedInput = input, cacheWriteInput = input, audioInput = input } = price;
  const { cacheWriteHourInput = cacheWriteInput } = price;
  const audio = tokens.audio - tokens.cachedAudio;
  const plain = tokens.input - tokens.cached - tokens.written - audio;
  const dear =
    plain * input +
    audio * audioInput +
    tokens.cached * cachedInput +
    (tokens.written - tokens.writtenForHour) * cacheWriteInput +
    tokens.writtenForHour * cacheWriteHourInput +
    tokens.output * output;
  return dear / million;
}

/**
 * Returns the vendor's entry with only this model. A lookup among all models of a vendor takes longer than the
 * calculation of the cost.
 */
function listedModel(baseUrl: string | null, model: string): ListedProvider | null {
  const vendor = baseUrl === null ? undefined : vendorAt(baseUrl);
  const entry = vendor === undefined ? null : calcPrice({}, model, { provider: vendor });
  if (vendor === undefined || entry === null) return null;
  return { ...vendor, models: [{ ...entry.model, match: { equals: model } }] };
}

function listedCost(provider: ListedProvider, model: string, tokens: Tokens): number | null {
  const usage = {
    input_tokens: tokens.input,
    output_tokens: tokens.output,
    cache_read_tokens: tokens.cached,
    cache_write_tokens: tokens.written,
    cache_write_1h_tokens: tokens.writtenForHour,
    input_audio_tokens: tokens.audio,
    cache_audio_read_tokens: tokens.cachedAudio,
    output_audio_tokens: tokens.audioOutput,
    output_image_tokens: tokens.imageOutput,
  };
  return calcPrice(usage, model, { provider })?.total_price ?? null;
}
