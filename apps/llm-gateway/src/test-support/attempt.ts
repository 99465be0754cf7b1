import type { ServerResponse } from 'node:http';
import { collect } from '../collect.ts';
import type { Attempt } from '../collect.ts';
import type { ProviderServer } from '../transport/provider-server.ts';
import type { Wire } from '../transport/wire.ts';
import { openAiChat } from '../wires/openai-chat/wire.ts';
import type { ModelRequest, Provider } from '../provider/port.ts';

export const providerServerAt = (baseUrl: string, wire: Wire = openAiChat): ProviderServer => ({
  name: 'acme',
  wire,
  baseUrl,
  key: 'key-that-must-stay-secret',
  keyRequired: null,
});

/** Time limits that no call reaches, even on a busy machine. A test of one limit lowers only that limit. */
export const generous = {
  firstEventMsMax: 60_000,
  idleMsMax: 60_000,
  totalMsMax: 60_000,
  afterFinishMsMax: 60_000,
};

export const smallRequest: ModelRequest = {
  model: 'acme-1',
  messages: [{ role: 'user', content: [{ type: 'text', text: 'hello' }] }],
  tools: [{ name: 'list', description: 'Lists.', parameters: { type: 'object' } }],
  settings: {},
};

/** Makes one attempt as the gateway does. */
export function callOnce(
  provider: Provider,
  signal = new AbortController().signal,
  request = smallRequest,
): Promise<Attempt> {
  const owner = { tenant: 'default', runId: 'r1', taskId: 't1' };
  const settings = { provider: 'acme', effectId: 'task_t1_1_1', textBytesMax: 1_000_000 };
  return collect(provider.stream(request, { signal, effectId: settings.effectId, owner }), settings);
}

/** Wraps a provider, and calls `onDelta` with the number of deltas that the caller has read so far. */
export const watched = (provider: Provider, onDelta: (taken: number) => void): Provider => ({
  ...provider,
  async *stream(request, context) {
    let taken = 0;
    for await (const deltas of provider.stream(request, context)) {
      yield deltas;
      // Called for each delta, so that `onDelta` gets every number once.
      for (let count = 0; count < deltas.length; count++) onDelta(++taken);
    }
  },
});

/**
 * Sends a request that `play` answers. Calls `happens` as soon as the caller has read `count` deltas. If `happens`
 * breaks the connection, deltas that aren't read yet are lost.
 */
export function callUntil(
  provider: Provider,
  count: number,
  play: (written: (response: ServerResponse) => void) => void,
  happens: (response: ServerResponse) => void,
): Promise<Attempt> {
  const { promise: answering, resolve } = Promise.withResolvers<ServerResponse>();
  play(resolve);
  return callOnce(
    watched(provider, (taken) => {
      if (taken === count) void answering.then((response) => happens(response));
    }),
  );
}

/** Part of the expected result of `textStream('hello')`. */
export const hello = { status: 'complete', text: 'hello', finishReason: 'stop', responseModel: 'acme-1-2026' };
