import { stateText } from './value.ts';
import type { StoredActor } from './value.ts';

/**
 * Number of actors by kind and outermost state. Finished actors aren't counted. A parked actor has the state `parked`.
 */
export type Census = readonly { kind: string; state: string; count: number }[];

const parkedState = 'parked';

export class CensusTaker {
  readonly #counts = new Map<string, { kind: string; state: string; count: number }>();

  add(kind: string, stored: StoredActor): void {
    if (stored.type === 'value' && stored.value.status === 'done') return;
    const state = stored.type === 'parked' ? parkedState : (stateText(stored.value.state).split(/[.|]/)[0] ?? '');
    const key = `${kind} ${state}`;
    const entry = this.#counts.get(key) ?? { kind, state, count: 0 };
    entry.count += 1;
    this.#counts.set(key, entry);
  }

  result(): Census {
    return [...this.#counts.values()];
  }
}
