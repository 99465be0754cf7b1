import type { Lease } from './lease.ts';

/**
 * Decides which processes this process considers lost.
 *
 * Invariants:
 * 1. A process is lost when its key was absent at every check for `lostAfterMs`. During that time this process must
 *    have been sound (see lease.ts) and must have checked at least once per `lostAfterMs`. A refreshed key exists for
 *    `lostAfterMs`, so a check can't miss the return of a process. A process that has left counts as lost at once,
 *    since it leaves only after its work has ended.
 * 2. A check that fails or comes too late restarts the wait.
 */
export type Sighting = 'listed' | 'left' | 'absent';

export type LostOwnersOptions = {
  lease: Lease;
  lostAfterMs: number;
  look: (id: string) => Promise<Sighting>;
  now: () => number;
};

type Suspect = { sinceMs: number; lookedAtMs: number; queriedAtMs: number };

/** Number of periods of `lostAfterMs` after which a suspect is forgotten if nobody queried it. */
const forgottenAfter = 10;

export class LostOwners {
  readonly #with: LostOwnersOptions;
  readonly #suspects = new Map<string, Suspect>();

  constructor(options: LostOwnersOptions) {
    this.#with = options;
  }

  async isLost(id: string): Promise<boolean> {
    const { now } = this.#with;
    const isLost = await this.#look(id);
    const suspect = this.#suspects.get(id);
    if (suspect !== undefined) suspect.queriedAtMs = now();
    return isLost;
  }

  /**
   * Checks each suspect again. Forgets a suspect if nobody has queried it for a long time. Must be called more often
   * than once per `lostAfterMs`. Never throws.
   */
  async lookAgain(): Promise<void> {
    const { now, lostAfterMs } = this.#with;
    for (const [id, { queriedAtMs }] of this.#suspects) {
      if (now() - queriedAtMs > forgottenAfter * lostAfterMs) this.#suspects.delete(id);
      else await this.#look(id).catch(() => this.#suspects.delete(id));
    }
  }

  async #look(id: string): Promise<boolean> {
    const { look, lease, lostAfterMs, now } = this.#with;
    const lookedAtMs = now();
    const sighting = await look(id);
    const answeredAtMs = now();
    const soundSince = lease.soundSince(answeredAtMs);
    if (sighting !== 'absent' || soundSince === null) {
      this.#suspects.delete(id);
      return sighting === 'left';
    }
    const known = this.#suspects.get(id);
    const goesOn = known !== undefined && known.sinceMs >= soundSince && lookedAtMs - known.lookedAtMs <= lostAfterMs;
    const suspect = goesOn ? known : { sinceMs: answeredAtMs, lookedAtMs, queriedAtMs: answeredAtMs };
    suspect.lookedAtMs = Math.max(suspect.lookedAtMs, lookedAtMs);
    this.#suspects.set(id, suspect);
    return lookedAtMs - suspect.sinceMs >= lostAfterMs;
  }
}
