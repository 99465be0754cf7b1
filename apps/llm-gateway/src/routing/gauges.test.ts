import { CoppiceError } from '@coppice/contracts';
import { startTelemetry } from '@coppice/telemetry';
import { expect, test } from 'vitest';
import { completeCall } from '../test-support/call-exchange.ts';
import { end, saying, text } from '../test-support/says.ts';
import { scrape } from '../test-support/scrape.ts';
import { prepareExchanges } from './collaborators.ts';
import { observeExchanges } from './gauges.ts';

const overloaded = new CoppiceError('provider-failed', 'overloaded', { retryable: true });
const overHttp = { wire: 'openai-chat' as const };

test('metrics report the models that get no requests, the calls at each provider, and how long they waited', async () => {
  const telemetry = await startTelemetry({ serviceName: 'gateway', instanceId: 'one', prometheus: true });
  const acme = { ...saying('acme', [text('hi'), end], [overloaded]), ...overHttp };
  const other = { ...saying('other', [text('hi'), end]), ...overHttp };
  const aliases = [{ name: 'fast', candidates: ['acme/one', 'other/two'], strategy: 'order' as const }];
  const exchanges = prepareExchanges({ providers: [acme, other], aliases, retry: { pauseMsMin: 1, pauseMsMax: 2 } });
  const stop = observeExchanges(exchanges);
  for (let calls = 0; calls < 5; calls++) await completeCall(exchanges, { model: 'fast' });
  // The configuration doesn't name this model, and no provider has answered under its name. So it has no label of its
  // own.
  exchanges.health.coolDown({ provider: 'other', model: 'never-heard-of' }, 60_000);
  const lines = await scrape(telemetry, 'coppice_model');
  stop();
  await telemetry.shutdown();
  expect(lines).toEqual(
    expect.arrayContaining([
      expect.stringMatching(
        /^coppice_models_unavailable\{gen_ai_provider_name="acme",gen_ai_request_model="one",state="failing"\} 1/,
      ),
      expect.stringMatching(
        /^coppice_models_unavailable\{gen_ai_provider_name="other",gen_ai_request_model="_OTHER",state="cooling"\} 1/,
      ),
      expect.stringMatching(/^coppice_model_calls\{gen_ai_provider_name="acme",state="running"\} 0/),
      expect.stringMatching(/^coppice_model_queue_wait_duration_count\{gen_ai_provider_name="acme"\} 4/),
    ]),
  );
});

test('a model in the configuration has a label even if it has never answered', async () => {
  const telemetry = await startTelemetry({ serviceName: 'gateway', instanceId: 'one', prometheus: true });
  const lost = { ...saying('lost', [overloaded]), ...overHttp };
  const exchanges = prepareExchanges({
    providers: [lost],
    aliases: [{ name: 'slow', candidates: ['lost/meta/never-answers'], strategy: 'order' }],
    namedModels: ['lost/priced'],
    retry: { pauseMsMin: 1, pauseMsMax: 2 },
  });
  const stop = observeExchanges(exchanges);
  for (let calls = 0; calls < 3; calls++) await completeCall(exchanges, { model: 'slow' });
  exchanges.health.coolDown({ provider: 'lost', model: 'priced' }, 60_000);
  const lines = await scrape(telemetry, 'coppice_models_unavailable{gen_ai_provider_name="lost"');
  stop();
  await telemetry.shutdown();
  expect(lines).toEqual([
    expect.stringMatching(/gen_ai_request_model="meta\/never-answers",state="failing"\} 1/),
    expect.stringMatching(/gen_ai_request_model="priced",state="cooling"\} 1/),
  ]);
});
