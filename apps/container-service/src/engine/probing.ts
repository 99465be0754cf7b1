/**
 * The report of one engine, and the retries of trials whose result is unknown.
 *
 * 1. A pending fact is tested again until it is known or this object is closed.
 * 2. `require` waits at most `requiredMsMax` for a pending property. If a property is not enforced, `require` rejects
 *    at once.
 * 3. A failed probe is not cached, so that an engine started later is found by the next probe.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CoppiceError } from '@coppice/contracts';
import type { Launcher } from './launcher.ts';
import { NoAnswer } from './no-answer.ts';
import { enforceable, isPending, type Enforceable, type Enforcement, type EngineReport } from './port.ts';
import { probeAgain, probeEngine, type ProbeOptions } from './probe-engine.ts';

const pauseMsMin = 2_000;
const pauseMsMax = 60_000;
const requiredMsMax = 5 * 60_000;
const lookMs = 250;

export class Probing {
  readonly #launcher: Launcher;
  readonly #options: ProbeOptions;
  readonly #onTrouble: (error: unknown, what: string) => void;
  readonly #closing = new AbortController();
  #report: Promise<EngineReport> | undefined;
  #settling: Promise<void> = Promise.resolve();

  constructor(launcher: Launcher, options: ProbeOptions, onTrouble: (error: unknown, what: string) => void) {
    this.#launcher = launcher;
    this.#options = options;
    this.#onTrouble = onTrouble;
  }

  report(): Promise<EngineReport> {
    const probing = (this.#report ??= this.#begin());
    probing.catch(() => (this.#report = undefined));
    return probing;
  }

  /** Resolves when no fact is pending, or when this object is closed. */
  async settled(): Promise<EngineReport> {
    await this.report();
    await this.#settling;
    return this.report();
  }

  /**
   * @throws CoppiceError `engine-unavailable` if a property isn't enforced
   * @throws NoAnswer if a property stays unknown
   */
  async require(properties: readonly Enforceable[]): Promise<void> {
    if (properties.length === 0) return;
    const end = performance.now() + requiredMsMax;
    for (;;) {
      const { enforces } = await this.report();
      const those = (isOne: (enforcement: Enforcement) => boolean) =>
        properties
          .filter((name) => isOne(enforces[name]))
          .map((name) => `${name} (${enforces[name].how})`)
          .join('; ');
      const missing = those((each) => each.enforced !== true && !isPending(each));
      const unknown = those(isPending);
      if (missing !== '')
        throw new CoppiceError('engine-unavailable', `engine ${this.#launcher.name} doesn't enforce here: ${missing}`);
      if (unknown === '') return;
      if (this.#closing.signal.aborted || performance.now() > end) {
        const text = `it is unknown whether engine ${this.#launcher.name} enforces here: ${unknown}`;
        throw new NoAnswer('engine-unavailable', text);
      }
      await sleep(lookMs);
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#settling;
  }

  async #begin(): Promise<EngineReport> {
    const report = await probeEngine(this.#launcher, this.#options);
    this.#settling = this.#settle(report);
    return report;
  }

  async #settle(first: EngineReport): Promise<void> {
    const { signal } = this.#closing;
    let report = first;
    for (
      let pauseMs = this.#options.pauseMs ?? pauseMsMin;
      unknownIn(report).length > 0;
      pauseMs = Math.min(2 * pauseMs, pauseMsMax)
    ) {
      // An abort ends the wait. The next line checks the signal.
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        report = await probeAgain(this.#launcher, this.#options, report, signal);
        this.#report = Promise.resolve(report);
      } catch (error) {
        if (!signal.aborted) this.#onTrouble(error, `engine ${this.#launcher.name}: what it enforces is still unknown`);
      }
    }
  }
}

const unknownIn = ({ enforces }: EngineReport) => enforceable.filter((name) => isPending(enforces[name]));
