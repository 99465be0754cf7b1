/**
 * Landing in a repository on this machine.
 *
 * A branch that isn't checked out is moved by a ref transaction. If it is checked out and the checkout is clean, git
 * runs `merge --ff-only` there with the user's configuration: see fast-forward.ts. Otherwise the checkout stays
 * unchanged. The commit is kept under `refs/coppice/landed/` in the user's repository, and the user gets the command
 * that finishes the landing. The next landing builds on this commit. Changes that an interrupted landing left in the
 * checkout are only reported: see interruption.ts.
 */
import { CoppiceError } from '@coppice/contracts';
import type { Context } from '../context.ts';
import { isDiskFull } from '@coppice/disk';
import { retry } from '@coppice/service';
import { lockNamed } from '../git/failures.ts';
import { operand } from '../git/git.ts';
import { updateUserRefs } from '../git/refs.ts';
import { inOrigin, localRefs, localState, type BranchState, type LocalOrigin } from '../repository/origin.ts';
import { flatten, landedFolder, landedRef } from '../repository/landed-refs.ts';
import type { Store } from '../repository/store.ts';
import { forgetBegun, noteBegun } from './begun.ts';
import { fastForward, headOf, settleCheckout } from './fast-forward.ts';
import { mergeCommand, shellQuote, stashAndMergeCommand } from './finish-command.ts';
import { interruptionOf, type Interruption } from './interruption.ts';
import type { Landing } from './land.ts';
import { transfer } from './transfer.ts';
import { checkoutOf, type CleanCheckout } from './user-worktrees.ts';

export type LandRequest = {
  branch: string;
  commit: string;
  expectedTip: string;
  doneRef: string;
  signal: AbortSignal | undefined;
};

/** Maximum number of tries. A landing is retried if the user's git changed the repository at the same time. */
const triesMax = 3;

export async function landLocally(
  context: Context,
  store: Store,
  origin: LocalOrigin,
  request: LandRequest,
): Promise<Landing> {
  const landing = new LocalLanding(context, store, origin, request);
  const hasMoved = (error: Error) =>
    error instanceof CoppiceError && error.code === 'git-contention' && lockNamed(error) === undefined;
  return retry(() => landing.run(), { mayPass: hasMoved, triesMax });
}

class LocalLanding {
  readonly #context: Context;
  readonly #store: Store;
  readonly #origin: LocalOrigin;
  readonly #request: LandRequest;
  readonly #branchRef: string;
  readonly #landedRef: string;
  /** Changes that an interrupted landing left in the checkout. */
  #interruption: Interruption | null = null;

  constructor(context: Context, store: Store, origin: LocalOrigin, request: LandRequest) {
    this.#context = context;
    this.#store = store;
    this.#origin = origin;
    this.#request = request;
    this.#branchRef = `refs/heads/${request.branch}`;
    this.#landedRef = landedRef(request.branch);
  }

  async run(): Promise<Landing> {
    const { branch, commit, expectedTip, signal } = this.#request;
    // This call comes first, since it waits for a git process that still runs in the checkout.
    this.#interruption = await this.#interrupted();
    const { state, refs } = await this.#look();
    const earlier = await this.#earlier(state, refs);
    if (earlier !== undefined) return earlier;
    if (state.tip !== expectedTip) return { status: 'moved', tip: state.tip };
    await transfer(this.#context, this.#store, this.#origin, { want: commit, have: expectedTip, signal });
    this.#context.reached('landing-transferred');
    if (this.#interruption !== null) return this.#keep(this.#interruption.path, this.#interruption.reason);
    const checkout = await checkoutOf(this.#context, this.#origin, branch, signal);
    if (checkout === null) {
      await this.#updateRefs([
        `update ${this.#branchRef} ${commit} ${state.branchTip}`,
        ...(await this.#recordDone(state, refs)),
      ]);
      return { status: 'landed', commit };
    }
    if (checkout.hindrance !== null) return this.#keep(checkout.path, checkout.hindrance);
    // The next step changes the user's files, so neither the step nor its record can be cancelled.
    const unstoppable = { ...this.#request, signal: undefined };
    const ending = new LocalLanding(this.#context, this.#store, this.#origin, unstoppable);
    return ending.#fastForward(checkout, state.branchTip);
  }

  /** Reads the refs of the user's repository that matter to the landing, and the branch's state. */
  async #look(): Promise<{ state: BranchState; refs: Map<string, string> }> {
    const { git } = this.#context;
    const { branch, doneRef, signal } = this.#request;
    const names = [this.#branchRef, landedFolder, doneRef];
    let refs = await localRefs(git, this.#origin, names, signal);
    const renamed = flatten(refs);
    if (renamed.length > 0) {
      await this.#updateRefs(renamed);
      refs = await localRefs(git, this.#origin, names, signal);
    }
    const state = await localState(git, this.#origin, { branch, field: 'targetBranch', refs, signal });
    return { state, refs };
  }

  #interrupted(): Promise<Interruption | null> {
    const { branch, signal } = this.#request;
    const { repositoryId } = this.#store;
    return interruptionOf(this.#context, { origin: this.#origin, repositoryId, branch, signal });
  }

  /**
   * Returns the result of an earlier run of this landing, even if that run didn't record it. Undefined if no earlier
   * run has landed the commit.
   */
  async #earlier(state: BranchState, refs: Map<string, string>): Promise<Landing | undefined> {
    const { commit, doneRef, signal } = this.#request;
    if (await this.#contains(state.branchTip, commit)) {
      if (!refs.has(doneRef)) await this.#updateRefs(await this.#recordDone(state, refs));
      return { status: 'landed', commit };
    }
    const landed = refs.get(this.#landedRef);
    if (landed !== undefined && (await this.#contains(landed, commit))) {
      if (this.#interruption !== null) return this.#pending(this.#interruption.path, this.#interruption.reason);
      const checkout = await checkoutOf(this.#context, this.#origin, this.#request.branch, signal);
      return this.#pending(checkout?.path ?? this.#origin.address, 'it waits to be merged into the checkout');
    }
    // The commit landed before, and the user has undone that landing. So the commit doesn't land again.
    return refs.has(doneRef) ? { status: 'landed', commit } : undefined;
  }

  /** Reports whether the user's repository has both commits and `commit` is `tip` or an ancestor of it. */
  async #contains(tip: string, commit: string): Promise<boolean> {
    if (tip === commit) return true;
    // The landing's commit is a child of the expected tip, so the tip's history doesn't contain it.
    if (tip === this.#request.expectedTip && commit === this.#request.commit) return false;
    const options = { ...inOrigin(this.#origin), answers: [1, 128], signal: this.#request.signal };
    return this.#context.git.test(['merge-base', '--is-ancestor', operand(commit), tip], options);
  }

  async #fastForward(checkout: CleanCheckout, oldTip: string): Promise<Landing> {
    const { commit, branch } = this.#request;
    const { path } = checkout;
    const target = { checkout, branch, commit };
    noteBegun(this.#context, this.#store.repositoryId, { path, branch, from: oldTip, to: commit });
    const refusal = await fastForward(this.#context, this.#origin, target);
    const { state, refs } = await this.#look();
    // If the disk is full or the branch is locked, git may stop after it has changed some files. In all other cases,
    // git refuses before it changes a file.
    const mayBeHalf =
      refusal !== null && (isDiskFull(new CoppiceError('git-failed', refusal)) || refusal.includes('cannot lock ref'));
    if (!mayBeHalf) forgetBegun(this.#context, this.#store.repositoryId, branch);
    if (await this.#contains(state.branchTip, commit)) {
      this.#context.reached('fast-forwarded');
      const [left] = await Promise.all([
        refusal === null ? settleCheckout(this.#context, this.#origin, target, oldTip) : null,
        this.#recordDone(state, refs).then((commands) => this.#updateRefs(commands)),
      ]);
      return left === null ? { status: 'landed', commit } : this.#left(path, left);
    }
    if (state.tip !== this.#request.expectedTip) return { status: 'moved', tip: state.tip };
    if ((await headOf(this.#context, this.#origin, target)) !== this.#branchRef)
      throw new CoppiceError('git-contention', `${path} was switched to another branch while ${branch} was landed on`);
    const reason = `git refuses to update the checkout in ${path}: ${refusal ?? 'it has not moved'}`;
    this.#interruption = mayBeHalf ? await this.#interrupted() : null;
    return this.#keep(path, this.#interruption === null ? reason : `${reason}; ${this.#interruption.reason}`);
  }

  /**
   * Returns the result if the branch has moved, but the user had switched the checkout to another branch and the
   * landing's files could not be reset.
   */
  #left(path: string, reason: string): Landing {
    const { branch, commit } = this.#request;
    const git = `git -C ${shellQuote(path)}`;
    return {
      status: 'landed-pending',
      commit,
      reason: `${branch} has the work, but ${path} was switched to another branch during the landing and holds changes of it: ${reason}`,
      // `read-tree` treats a file with a new mtime as changed, so `update-index` first compares the contents. The exit
      // code of `update-index` doesn't matter, since 1 means that some files have changed.
      finishCommand: `${git} update-index -q --refresh; ${git} read-tree -m -u ${commit} HEAD`,
    };
  }

  async #keep(path: string, reason: string): Promise<Landing> {
    const { commit, expectedTip, signal } = this.#request;
    const old = (await localRefs(this.#context.git, this.#origin, [this.#landedRef], signal)).get(this.#landedRef);
    const commands = [
      `update ${this.#landedRef} ${commit} ${old ?? '0'.repeat(commit.length)}`,
      `update ${this.#request.doneRef} ${commit}`,
    ];
    if (old !== undefined && old !== expectedTip && !(await this.#contains(expectedTip, old))) {
      // The user's branch has moved on without the earlier pending commit. A ref keeps that commit reachable.
      commands.push(`update refs/coppice/superseded/${old} ${old}`);
    }
    await this.#updateRefs(commands);
    return this.#pending(path, reason);
  }

  #pending(path: string, reason: string): Landing {
    const { commit } = this.#request;
    // The done ref keeps the commit of this command reachable.
    const finishCommand = this.#interruption === null ? mergeCommand(path, commit) : stashAndMergeCommand(path, commit);
    return { status: 'landed-pending', commit, reason, finishCommand };
  }

  /**
   * Builds the commands that record the landing. They also delete the pending ref if the branch contains its commit.
   */
  async #recordDone(state: BranchState, refs: Map<string, string>): Promise<string[]> {
    const { commit, doneRef } = this.#request;
    const commands = [`update ${doneRef} ${commit}`];
    const landed = refs.get(this.#landedRef);
    if (
      landed !== undefined &&
      ((await this.#contains(commit, landed)) || (await this.#contains(state.branchTip, landed)))
    ) {
      commands.push(`delete ${this.#landedRef} ${landed}`);
    }
    return commands;
  }

  async #updateRefs(commands: string[]): Promise<void> {
    const options = { ...inOrigin(this.#origin), signal: this.#request.signal };
    await updateUserRefs(this.#context.git, options, 'coppice: land', commands);
  }
}
