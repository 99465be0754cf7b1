import { expect, test } from 'vitest';
import { metricDefinitions, prometheusLabel, prometheusName } from './metric-definitions.ts';
import type { MetricDefinition, MetricName } from './metric-definitions.ts';

const introduction = `# Metrics

Made from \`libs/telemetry/src/metric-definitions.ts\`; after a change there, \`npm test -- libs/telemetry/src/metrics-document.test.ts -u\` writes it anew.

Each service answers Prometheus under \`/metrics\` on its health port, \`COPPICE_HEALTH_PORT\`; \`COPPICE_METRICS=off\` switches that off. By OTLP they go where
\`OTEL_METRICS_EXPORTER=otlp\` and OpenTelemetry's other standard variables say. Alerts as rules: [deploy/prometheus/alerts.yaml](../deploy/prometheus/alerts.yaml).

## What the numbers promise

- **Counters and histograms count at most once.** A task's step is counted by the process that stored it, right after; a repeated message finds it stored and counts
  nothing. A process that is killed between the two loses that count. As with every Prometheus counter, a new process begins at 0.
- **Deliveries and attempts are counted each time**: a message that is delivered twice is handled twice in \`messaging.process.duration\`, and a model call that is repeated
  is paid again.
- **Queues and dead letters are read from JetStream**, so nothing is lost or counted twice. Each orchestrator reports the same value: take the \`max\`.
- **No label can be chosen freely by who submits runs**: no ids, no tenant, and of models only 100, those of the file of the gateway and the first that have answered. What a tenant's tasks have used is in
  its own events (\`task-ended\`); calls at the gateway's endpoints are in the gateway's log, a line each.
`;

function document(): string {
  const parts = (Object.keys(metricDefinitions) as MetricName[]).map((name) => {
    const { kind, unit, description, labels, reportedBy }: MetricDefinition = metricDefinitions[name];
    const rows = Object.entries(labels).map(([label, values]) => `| \`${prometheusLabel(label)}\` | ${values} |`);
    const table = rows.length === 0 ? [] : ['', '| label | values |', '| --- | --- |', ...rows];
    return [
      `## \`${prometheusName(name)}\``,
      '',
      description,
      '',
      `A ${kind} in \`${unit}\`, from ${reportedBy}. By OTLP: \`${name}\`.`,
      ...table,
      '',
    ].join('\n');
  });
  return [introduction, ...parts].join('\n');
}

test('docs/metrics.md is what the definitions say', async () => {
  await expect(document()).toMatchFileSnapshot('../../../docs/metrics.md');
});

test('names are by the rules of OpenTelemetry, and each label is said once', () => {
  for (const name of Object.keys(metricDefinitions)) expect(name).toMatch(/^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$/);
  const names = (Object.keys(metricDefinitions) as MetricName[]).map(prometheusName);
  expect(new Set(names).size).toBe(names.length);
});
