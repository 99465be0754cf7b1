/**
 * The availability of each provider's models. It follows from this instance's own calls and from messages of other
 * instances.
 *
 * Collaborators: one circuit per model; `notify`, which publishes changes to the other instances (health-sharing.ts).
 *
 * Invariants:
 * 1. The availability is advisory. If it is wrong, a call waits for a limited time or makes a useless request. No
 * answer depends on it.
 * 2. Each permit is ended exactly once. If a probe is abandoned, the next call probes.
 * 3. The number of circuits is limited, since callers choose model names. The text of a circuit's last failure and the
 * durations in other instances' messages are limited, too.
 */
import type { CoppiceError, GatewayHealthNews } from '@coppice/contracts';
import { LRUCache } from 'lru-cache';
import { Circuit } from './circuit.ts';
import type { Admission, Caller, CircuitSettings, LastFailure } from './circuit.ts';
import { exchangeLimits } from './limits.ts';
import { hasAnswered } from './retry.ts';

export type Place = { provider: string; model: string };
export type Unavailable = Place & { why: 'cooling' | 'failing' };

export type Permit = {
  /** Records the first output. */
  began(): void;
  /** Records the end of the attempt. `error` is null if the provider answered. */
  ended(error: CoppiceError | null): void;
};

type Entry = { place: Place; circuit: Circuit };
type Admitted = { place: Place; circuit: Circuit; probe: boolean; caller: Caller };

export type HealthSettings = CircuitSettings & {
  /** Monotonic clock, in milliseconds. */
  now: () => number;
  notify: (news: GatewayHealthNews) => void;
};

export class Health {
  readonly #settings: HealthSettings;
  readonly #circuits = new LRUCache<string, Entry>({ max: exchangeLimits.circuitsMax });

  constructor(settings: HealthSettings) {
    this.#settings = settings;
  }

  /** Reports whether a call of the tenant would be admitted now, and if not, how long it must wait. */
  look(place: Place, tenant: string): Admission {
    const known = this.#circuits.peek(keyOf(place));
    return known?.circuit.look(this.#settings.now(), tenant) ?? { admitted: true, probe: false };
  }

  /** Returns a permit, or the reason why the call isn't admitted. */
  admit(place: Place, caller: Caller): { permit: Permit } | Extract<Admission, { admitted: false }> {
    const { tenant } = caller;
    const circuit = this.#circuitOf(place);
    const admission = circuit.admit(this.#settings.now(), tenant);
    if (!admission.admitted) return admission;
    const { probe } = admission;
    // While this call probes, the other instances send no probe for `probeHoldMs`.
    if (probe) this.#notify(place, 'open', exchangeLimits.probeHoldMs, circuit.isOpenForAll() ? {} : { tenant });
    return { permit: this.#permit({ place, circuit, probe, caller }) };
  }

  learn({ provider, model, state, forMs, tenant }: GatewayHealthNews): void {
    const place = { provider, model };
    const nowMs = this.#settings.now();
    if (state === 'closed') this.#circuits.peek(keyOf(place))?.circuit.close();
    else if (state === 'open')
      this.#circuitOf(place).open(Math.min(forMs, this.#settings.openMs), nowMs, tenant ?? null);
    else this.#circuitOf(place).coolDown(Math.min(forMs, exchangeLimits.coolDownMsMax), nowMs);
  }

  /** Returns the models that are unavailable to at least one tenant. */
  unavailable(): Unavailable[] {
    const nowMs = this.#settings.now();
    return [...this.#circuits.values()].toReversed().flatMap(({ place, circuit }): Unavailable[] => {
      if (circuit.isCooling(nowMs)) return [{ ...place, why: 'cooling' }];
      return circuit.isOpen() ? [{ ...place, why: 'failing' }] : [];
    });
  }

  /** Records that the provider accepts no requests for this model for `forMs`. */
  coolDown(place: Place, forMs: number): void {
    const boundedMs = Math.min(Math.round(forMs), exchangeLimits.coolDownMsMax);
    if (boundedMs <= 0) return;
    this.#circuitOf(place).coolDown(boundedMs, this.#settings.now());
    if (boundedMs >= exchangeLimits.sharedCoolDownMsMin) this.#notify(place, 'cooling', boundedMs);
  }

  #permit({ place, circuit, probe, caller }: Admitted): Permit {
    const { tenant } = caller;
    return {
      began: () => {
        if (circuit.began(probe, tenant)) this.#notify(place, 'closed', 0);
      },
      ended: (error) => {
        const waitMs = error === null ? null : statedWaitMs(error);
        if (waitMs !== null) this.coolDown(place, waitMs);
        const meaning = error === null ? 'answered' : meaningOf(error, waitMs);
        if (meaning === 'left') circuit.left(probe);
        else if (meaning === 'failed') {
          const why = error === null ? null : failureOf(error, tenant);
          const opening = circuit.failed(probe, this.#settings.now(), caller, why);
          const whose = opening === 'for the tenant' ? { tenant } : {};
          if (opening !== null) this.#notify(place, 'open', this.#settings.openMs, whose);
        } else if (circuit.answered()) this.#notify(place, 'closed', 0);
      },
    };
  }

  #notify(
    { provider, model }: Place,
    state: GatewayHealthNews['state'],
    forMs: number,
    whose: Pick<GatewayHealthNews, 'tenant'> = {},
  ): void {
    this.#settings.notify({ provider, model, state, forMs, ...whose });
  }

  #circuitOf(place: Place): Circuit {
    const key = keyOf(place);
    const known = this.#circuits.get(key);
    if (known !== undefined) return known.circuit;
    const circuit = new Circuit(this.#settings);
    this.#circuits.set(key, { place, circuit });
    return circuit;
  }
}

const keyOf = ({ provider, model }: Place): string => `${provider}/${model}`;

function failureOf({ message, details }: CoppiceError, tenant: string): LastFailure {
  const status = details?.['status'];
  const text = message.slice(0, exchangeLimits.lastFailureCharactersMax).toWellFormed();
  return { tenant, message: text, status: typeof status === 'number' ? status : null };
}

/** Returns the wait that the error states, in milliseconds, or null if it states none. */
export function statedWaitMs({ details }: CoppiceError): number | null {
  const stated = details?.['retryAfterMs'];
  return typeof stated === 'number' && stated >= 0 ? stated : null;
}

function meaningOf(error: CoppiceError, waitMs: number | null): 'answered' | 'failed' | 'left' {
  const { code } = error;
  // A provider that states a wait works. Without a wait, the breaker must reduce the number of calls.
  if (code === 'provider-limited') return waitMs === null ? 'failed' : 'answered';
  if (code === 'provider-failed') return isOfTheRequest(error) || hasAnswered(error) ? 'answered' : 'failed';
  const refused = code === 'model-not-found' || code === 'context-exceeded' || code === 'invalid-request';
  return refused ? 'answered' : 'left';
}

/**
 * Reports whether a 4xx status concerns only this request, and not the key, the account or a limit. If such an error
 * counted as a failure, one caller could make the model unavailable to all.
 */
function isOfTheRequest({ details, retryable }: CoppiceError): boolean {
  const status = Number(details?.['status']);
  return status >= 400 && status < 500 && !retryable && !ofTheAccount.includes(status);
}

const ofTheAccount = [401, 402, 429];
