import { expect, test } from 'vitest';
import { metricDefinitions, prometheusLabel, prometheusName } from './metric-definitions.ts';
import type { MetricDefinition, MetricName } from './metric-definitions.ts';

const introduction = `# Metrics

This document is generated from \`libs/telemetry/src/metric-definitions.ts\`. After a change there, generate it again: \`npm test -- libs/telemetry/src/metrics-document.test.ts -u\`.

Each service serves its metrics to Prometheus under \`/metrics\` on its health port, \`COPPICE_HEALTH_PORT\`. \`COPPICE_METRICS=off\` switches this off. To send metrics by OTLP, set
\`OTEL_METRICS_EXPORTER=otlp\`; OpenTelemetry's other standard variables set the address. [deploy/prometheus/alerts.yaml](../deploy/prometheus/alerts.yaml) contains alert rules.

## How to read the numbers

- **Tasks' steps are counted at most once.** The process that stored a task's step counts it directly afterwards. A repeated message finds the step stored and isn't
  counted. If the process is killed between storing and counting, the count is lost. As with every Prometheus counter, a new process starts at 0.
- **Deliveries and attempts are counted each time.** A message that is delivered twice appears twice in \`messaging.process.duration\`. A model call that is repeated
  is counted again, since it is paid for again.
- **Queues and dead letters are read from JetStream**, so nothing is lost or counted twice. Every orchestrator reports the same value, so use \`max\`.
- **Users who submit runs can't choose label values freely.** There are no ids and no tenants in labels. There are at most 100 model names: the names in the gateway's file, and the first models that answered.
  The usage of a tenant's tasks is in the tenant's events (\`task-ended\`). Calls at the gateway's endpoints are in the gateway's log, with one line each.
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
      `Type: ${kind}. Unit: \`${unit}\`. Reported by: ${reportedBy}. Name in OTLP: \`${name}\`.`,
      ...table,
      '',
    ].join('\n');
  });
  return [introduction, ...parts].join('\n');
}

test('docs/metrics.md agrees with the definitions', async () => {
  await expect(document()).toMatchFileSnapshot('../../../docs/metrics.md');
});

test('names follow the rules of OpenTelemetry, and each label is described once', () => {
  for (const name of Object.keys(metricDefinitions)) expect(name).toMatch(/^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$/);
  const names = (Object.keys(metricDefinitions) as MetricName[]).map(prometheusName);
  expect(new Set(names).size).toBe(names.length);
});
