import { attributes, observeGauge } from '@coppice/telemetry';
import { modelLabel } from './attempt-span.ts';
import type { ExchangeCollaborators } from './collaborators.ts';
import type { Unavailable } from './health.ts';

/**
 * Registers gauges of the calls at each provider and of unavailable models.
 * @returns a function that removes them.
 */
export function observeExchanges({ queues, health }: Pick<ExchangeCollaborators, 'queues' | 'health'>): () => void {
  const ends = [
    observeGauge('coppice.model.calls', () =>
      queues.all().flatMap(([provider, { inUse, waiting }]) => [
        { value: inUse, labels: { [attributes.genAiProviderName]: provider, state: 'running' } },
        { value: waiting, labels: { [attributes.genAiProviderName]: provider, state: 'waiting' } },
      ]),
    ),
    observeGauge('coppice.models.unavailable', () =>
      [...Map.groupBy(health.unavailable(), labelsKey).values()].flatMap((alike) => {
        const [first] = alike;
        return first === undefined ? [] : [{ value: alike.length, labels: labelsOf(first) }];
      }),
    ),
  ];
  return () => {
    for (const end of ends) end();
  };
}

const labelsOf = ({ provider, model, why }: Unavailable) => ({
  [attributes.genAiProviderName]: provider,
  [attributes.genAiRequestModel]: modelLabel(model),
  state: why,
});
/** Returns a key for the labels. Several models may share the same labels. */
const labelsKey = (unavailable: Unavailable): string => JSON.stringify(labelsOf(unavailable));
