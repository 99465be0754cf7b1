import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { metricDefinitions, prometheusLabel, prometheusName } from '@coppice/telemetry';
import type { MetricName } from '@coppice/telemetry';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { prometheusProgram } from './support/prometheus-program.ts';
import { isRequired } from './support/required.ts';

/**
 * Tests that Prometheus accepts the alert rules in deploy/prometheus, and that they use only existing metrics and
 * labels.
 */

const runFile = promisify(execFile);
const file = path.resolve(import.meta.dirname, '../deploy/prometheus/alerts.yaml');
const fetchMsMax = 300_000;

const rule = z.strictObject({
  alert: z.string().regex(/^Coppice[A-Z][A-Za-z]+$/),
  expr: z.string(),
  for: z
    .string()
    .regex(/^\d+[smh]$/)
    .optional(),
  labels: z.strictObject({ severity: z.enum(['warning', 'critical']) }),
  annotations: z.strictObject({ summary: z.string(), description: z.string().optional() }),
});
const rulesFile = z.strictObject({
  groups: z.array(z.strictObject({ name: z.string(), rules: z.array(rule).min(1) })).length(1),
});
const rules = rulesFile.parse(parse(readFileSync(file, 'utf8'))).groups.flatMap((group) => group.rules);

const names = Object.keys(metricDefinitions) as MetricName[];
/** Labels of each time series in a scrape, by the series' name. */
const series = new Map<string, string[]>();
for (const name of names) {
  const labels = Object.keys(metricDefinitions[name].labels).map(prometheusLabel);
  const base = prometheusName(name);
  if (metricDefinitions[name].kind !== 'histogram') series.set(base, labels);
  else
    for (const part of ['bucket', 'sum', 'count'])
      series.set(`${base}_${part}`, [...labels, ...(part === 'bucket' ? ['le'] : [])]);
}
series.set('up', ['job', 'instance']);

/** Functions and keywords of PromQL. All other words in an expression are metrics or labels. */
const words = new Set(
  'sum max by rate increase delta absent scalar histogram_quantile and or label_replace max_over_time'.split(' '),
);

/** Returns the metrics in an expression, and the labels by which it filters or groups. */
function namesIn(expression: string): { metrics: string[]; labels: string[] } {
  const metrics: string[] = [];
  const labels: string[] = [];
  const bare = expression
    .replaceAll(/"(?:[^"\\]|\\.)*"/g, '""')
    .replaceAll(/\[\d+[smhd]\]/g, '')
    .replaceAll(/by \(([^)]*)\)/g, (_, list: string) => (labels.push(...list.split(/,\s*/)), ''))
    .replaceAll(/\{([^}]*)\}/g, (_, list: string) => {
      labels.push(...[...list.matchAll(/([a-z_]+)\s*[=!]/g)].map(([, label = '']) => label));
      return '';
    });
  for (const [word] of bare.matchAll(/[a-z_][a-z0-9_]*/g)) if (!words.has(word)) metrics.push(word);
  return { metrics, labels };
}

test.for(rules.map((each) => [each.alert, each] as const))(
  '%s uses only existing metrics and labels',
  ([, { expr }]) => {
    const { metrics, labels } = namesIn(expr);
    expect(metrics.length).toBeGreaterThan(0);
    expect(metrics.filter((metric) => !series.has(metric))).toEqual([]);
    const known = new Set(metrics.flatMap((metric) => series.get(metric) ?? []));
    expect(labels.filter((label) => !known.has(label))).toEqual([]);
  },
);

test('a summary uses only labels that the result of its expression has', () => {
  for (const { expr, annotations } of rules) {
    const used = [...`${annotations.summary}${annotations.description ?? ''}`.matchAll(/\$labels\.([a-z_]+)/g)];
    const known = new Set([...namesIn(expr).labels, ...(/^up\b/.test(expr) ? ['instance'] : [])]);
    expect(used.map(([, label = '']) => label).filter((label) => !known.has(label))).toEqual([]);
  }
});

test(
  'promtool accepts the rules, rejects an invalid one, and its tests of the rules pass',
  { timeout: fetchMsMax },
  async (context) => {
    const found = await prometheusProgram('promtool');
    if ('absent' in found && isRequired('promtool')) throw new Error(found.absent);
    const program = 'program' in found ? found.program : context.skip(found.absent);
    const { stdout } = await runFile(program, ['check', 'rules', '--lint=all', '--lint-fatal', file]);
    expect(stdout).toContain(`SUCCESS: ${rules.length} rules found`);
    await expect(runFile(program, ['check', 'rules', import.meta.filename])).rejects.toThrow('FAILED');
    const configuration = file.replace(/alerts.yaml$/, 'prometheus.yaml');
    expect((await runFile(program, ['check', 'config', '--lint=all', configuration])).stdout).toContain('SUCCESS');
    // Some rules must fire on a stack with failures, and none on a working stack.
    const tested = await runFile(program, ['test', 'rules', file.replace(/yaml$/, 'test.yaml')]);
    expect(tested.stdout).toContain('SUCCESS');
  },
);
