import type { HeldClaim } from './claims.ts';
import { Draining } from './errors.ts';
import type { Membership } from './members.ts';

/**
 * The commands that this process works on, and whether it still holds their claims.
 *
 * Invariants:
 * 1. A command is in progress from just before its claim is begun until its outcome is sent. If the command is
 *    redelivered during that time, this process doesn't start it again.
 * 2. After a time in which this process may not have been listed as a member, it rewrites each claim before the claim's
 *    handler continues. If another process has taken a claim over, its handler is aborted with ClaimLost.
 */
export type InProgress = {
  abort: AbortController;
  claim: HeldClaim | null;
  /** Epoch of this process's membership in which the claim was last written. */
  claimedIn: number;
};

export class CommandsInProgress {
  readonly #member: Membership;
  readonly #all = new Map<string, InProgress>();
  readonly #drained = new AbortController();

  constructor(member: Membership) {
    this.#member = member;
    member.onReturn(() => {
      for (const command of this.#all.values())
        this.confirmClaim(command).catch((error: unknown) => command.abort.abort(error));
    });
  }

  /** Aborted when stopping has taken `drainMs`. All waits then end. */
  get drained(): AbortSignal {
    return this.#drained.signal;
  }

  /** Returns null if the command is already in progress. */
  begin(effectId: string): InProgress | null {
    if (this.#all.has(effectId)) return null;
    const command: InProgress = { abort: new AbortController(), claim: null, claimedIn: this.#member.epoch() };
    this.#all.set(effectId, command);
    return command;
  }

  end(effectId: string): void {
    this.#all.delete(effectId);
  }

  isClaimed(effectId: string): boolean {
    return (this.#all.get(effectId)?.claim ?? null) !== null;
  }

  abort(effectId: string, reason: Error): void {
    this.#all.get(effectId)?.abort.abort(reason);
  }

  drain(): void {
    this.#drained.abort(new Draining());
    for (const { abort } of this.#all.values()) abort.abort(new Draining());
  }

  /**
   * Resolves when this process certainly holds the claim. Resolves at once if this process was always listed as a
   * member since the last check.
   * @throws ClaimLost
   * @throws Draining
   */
  async confirmClaim(command: InProgress): Promise<void> {
    const { claim } = command;
    if (claim === null) return;
    while (command.claimedIn !== this.#member.epoch()) {
      await this.#member.listed(this.drained);
      const epoch = this.#member.epoch();
      await claim.writeAgain(this.drained);
      command.claimedIn = epoch;
    }
  }
}
