import type { ServerResponse } from 'node:http';
import { collect } from '../collect.ts';
import type { Attempt } from '../collect.ts';
import type { Endpoint } from '../provider/http/endpoint.ts';
import type { Wire } from '../provider/http/wire.ts';
import { openAiChat } from '../provider/openai-chat/wire.ts';
import type { ModelRequest, Provider } from '../provider/port.ts';

export const endpointAt = (baseUrl: string, wire: Wire = openAiChat): Endpoint => ({
  name: 'acme',
  wire,
  baseUrl,
  key: 'key-that-must-not-be-told',
  keyRequired: null,
});

/** Far above what a busy machine takes; each test of a limit lowers its own. */
export const generous = {
  firstEventMsMax: 20_000,
  idleMsMax: 20_000,
  totalMsMax: 20_000,
  afterFinishMsMax: 20_000,
};

export const smallRequest: ModelRequest = {
  model: 'acme-1',
  messages: [{ role: 'user', content: [{ type: 'text', text: 'hello' }] }],
  tools: [{ name: 'list', description: 'Lists.', parameters: { type: 'object' } }],
  settings: {},
};

/** One attempt, as the gateway makes it. */
export function askOnce(
  provider: Provider,
  signal = new AbortController().signal,
  request = smallRequest,
): Promise<Attempt> {
  const owner = { tenant: 'default', runId: 'r1', taskId: 't1' };
  const settings = { provider: 'acme', effectId: 'task_t1_1_1', textBytesMax: 1_000_000 };
  return collect(provider.stream(request, { signal, effectId: settings.effectId, owner }), settings);
}

/** The same provider; `onDelta` is told how many deltas its caller has taken. */
export const watched = (provider: Provider, onDelta: (taken: number) => void): Provider => ({
  ...provider,
  async *stream(request, context) {
    let taken = 0;
    for await (const deltas of provider.stream(request, context)) {
      yield deltas;
      // One by one, so that what happens after the second does so before the third.
      for (let count = 0; count < deltas.length; count++) onDelta(++taken);
    }
  },
});

/**
 * Asks a server whose answer is played by `play`; what then `happens` to it does so when so many deltas were taken, and never before: a connection that breaks takes with
 * it what nobody has read yet.
 */
export function askUntil(
  provider: Provider,
  count: number,
  play: (written: (response: ServerResponse) => void) => void,
  happens: (response: ServerResponse) => void,
): Promise<Attempt> {
  const { promise: answering, resolve } = Promise.withResolvers<ServerResponse>();
  play(resolve);
  return askOnce(
    watched(provider, (taken) => {
      if (taken === count) void answering.then((response) => happens(response));
    }),
  );
}

/** What `textStream('hello')` comes to. */
export const hello = { status: 'complete', text: 'hello', finishReason: 'stop', responseModel: 'acme-1-2026' };
