import { addToCounter, annotateSpan, attributes } from '@coppice/telemetry';
import type { Call, Exchange, ExchangeResult } from '../routing/exchange.ts';
import type { ModelDelta, ModelDeltas, UsageSoFar } from '../provider/port.ts';
import type { AnswerCache } from './answer-cache.ts';
import { keyOf } from './key.ts';
import { cacheLimits } from './limits.ts';

type Running = { deltas: ModelDeltas; result: ExchangeResult };

/**
 * Wraps an exchange with the cache. If the cache has an answer of any candidate to the same request, delivers it
 * without a request to a provider and without a charge. Otherwise runs the exchange and stores its answer, if it is
 * complete.
 */
export function throughCache(running: Running, cache: AnswerCache, call: Call): Exchange {
  return { deltas: deltasOf(running, cache, call), result: running.result };
}

async function* deltasOf(
  { deltas, result }: Running,
  cache: AnswerCache,
  { model, request, context }: Call,
): AsyncGenerator<readonly ModelDelta[], void, undefined> {
  const startedAtMs = performance.now();
  const candidates = model.routes;
  const keys = candidates.map((route) => keyOf(context.owner.tenant, route, request));
  const found = await cache.find(keys);
  addToCounter('coppice.model.cache.lookups', 1, { result: found === null ? 'miss' : 'hit' });
  const route = found === null ? undefined : candidates[found.index];
  if (found !== null && route !== undefined) {
    try {
      Object.assign(result, {
        provider: route.provider.name,
        model: route.model,
        usage: { ...usageOf(found.deltas), costUsd: 0 },
        costUsd: 0,
        latencyMs: Math.round(performance.now() - startedAtMs),
        cached: true,
      } satisfies Partial<ExchangeResult>);
      annotateSpan({ [attributes.coppiceModelCached]: true });
      yield found.deltas;
    } finally {
      found.forget();
    }
    return;
  }
  const recording = new Recording();
  for await (const together of deltas) {
    for (const delta of together) recording.add(delta);
    if (together.at(-1)?.type === 'response-end') {
      const answered = candidates.findIndex(
        ({ provider, model: name }) => provider.name === result.provider && name === result.model,
      );
      const key = keys[answered];
      if (key !== undefined && recording.deltas !== null) cache.keep(key, recording.deltas);
    }
    yield together;
  }
}

function usageOf(deltas: readonly ModelDelta[]): UsageSoFar {
  const usage: UsageSoFar = {};
  for (const delta of deltas) if (delta.type === 'usage') Object.assign(usage, delta.usage);
  return usage;
}

/** Records the deltas of an answer until they are too large to be stored. */
class Recording {
  #deltas: ModelDelta[] | null = [];
  #characters = 0;

  get deltas(): readonly ModelDelta[] | null {
    return this.#deltas;
  }

  add(delta: ModelDelta): void {
    if (this.#deltas === null) return;
    this.#deltas.push(delta);
    this.#characters += charactersOf(delta);
    if (this.#characters > cacheLimits.answerBytesMax || this.#deltas.length > cacheLimits.answerDeltasMax)
      this.#deltas = null;
  }
}

function charactersOf(delta: ModelDelta): number {
  const signature = 'signature' in delta ? (delta.signature?.value.length ?? 0) : 0;
  if (delta.type === 'raw') return delta.data.length;
  if (delta.type === 'tool-call-delta') return delta.arguments.length + signature;
  return 'text' in delta ? delta.text.length + signature : 0;
}
