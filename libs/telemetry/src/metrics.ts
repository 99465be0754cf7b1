/**
 * Functions that record metrics. Nothing is recorded until `startTelemetry` switches metrics on.
 *
 * No function throws or waits for an exporter.
 */
import type { Counter, Histogram, Meter, ObservableResult } from '@opentelemetry/api';
import { metricDefinitions } from './metric-definitions.ts';
import type {
  CounterName,
  GaugeName,
  HistogramName,
  Labels,
  MetricDefinition,
  MetricName,
} from './metric-definitions.ts';

type Instruments = { counters: Map<string, Counter>; histograms: Map<string, Histogram> };
type Observation<Name extends GaugeName> = { value: number; labels: Labels<Name> };
type Observer = { name: GaugeName; callback: (result: ObservableResult) => Promise<void> };

let instruments: Instruments | null = null;
let meter: Meter | null = null;
const observers = new Set<Observer>();

export function addToCounter<Name extends CounterName>(name: Name, value: number, labels: Labels<Name>): void {
  instruments?.counters.get(name)?.add(value, labels);
}

/** @param value in the unit of the metric's definition */
export function recordValue<Name extends HistogramName>(name: Name, value: number, labels: Labels<Name>): void {
  instruments?.histograms.get(name)?.record(value, labels);
}

/**
 * Registers a gauge.
 * @param read returns the gauge's values; called at each collection. If it throws, the gauge is missing in that
 * collection, which an alert can detect.
 * @returns a function that removes the gauge
 */
export function observeGauge<Name extends GaugeName>(
  name: Name,
  read: () => Promise<Observation<Name>[]> | Observation<Name>[],
): () => void {
  const observer: Observer = {
    name,
    callback: async (result) => {
      try {
        for (const { value, labels } of await read()) result.observe(value, labels);
      } catch {
        // Ignored, since the source of the values may be unavailable and the other metrics must still be collected.
      }
    },
  };
  observers.add(observer);
  attach(observer);
  return () => {
    observers.delete(observer);
    if (meter !== null) gauge(meter, name).removeCallback(observer.callback);
  };
}

/** Returns true if metrics are collected. Callers skip costly measurements if it is false. */
export const metricsAreOn = (): boolean => instruments !== null;

/** Switches metrics on and creates all instruments. Null switches metrics off. Only start-metrics.ts calls it. */
export function useMeter(started: Meter | null): void {
  meter = started;
  instruments = started === null ? null : { counters: new Map(), histograms: new Map() };
  for (const name of started === null ? [] : namesOfAll()) makeInstrument(name);
  for (const observer of observers) attach(observer);
}

const namesOfAll = (): MetricName[] => Object.keys(metricDefinitions) as MetricName[];

function makeInstrument(name: MetricName): void {
  const { kind, unit, description, boundaries }: MetricDefinition = metricDefinitions[name];
  if (meter === null || instruments === null) return;
  if (kind === 'counter') instruments.counters.set(name, meter.createCounter(name, { unit, description }));
  if (kind !== 'histogram') return;
  const advice = boundaries === undefined ? {} : { advice: { explicitBucketBoundaries: [...boundaries] } };
  instruments.histograms.set(name, meter.createHistogram(name, { unit, description, ...advice }));
}

/** The meter returns the same instrument for the same name. */
function gauge(from: Meter, name: GaugeName) {
  const { unit, description } = metricDefinitions[name];
  return from.createObservableGauge(name, { unit, description });
}

function attach(observer: Observer): void {
  if (meter !== null) gauge(meter, observer.name).addCallback(observer.callback);
}
