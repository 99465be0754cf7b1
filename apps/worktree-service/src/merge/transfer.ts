import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Context } from '../context.ts';
import { gitLimits } from '../git/git.ts';
import { inOrigin, type LocalOrigin } from '../repository/origin.ts';
import type { Store } from '../repository/store.ts';

/**
 * Minimum number of objects to store them as a pack. Fewer objects are unpacked. Git's receive-pack uses the same
 * number.
 */
const unpackLimit = 100;

/**
 * Transfers a commit from tasks.git to the user's repository through a pipe. Git runs under the user's account there,
 * and checks each object. `have` is a commit that the user's repository has.
 */
export async function transfer(
  context: Context,
  store: Store,
  origin: LocalOrigin,
  commits: { want: string; have: string; signal: AbortSignal | undefined },
): Promise<void> {
  const { want, have, signal } = commits;
  const limits = { timeLimitMs: gitLimits.timeMsLong, signal };
  const pack = context.git.process(['pack-objects', '--quiet', '--revs', '--thin', '--stdout', '--delta-base-offset'], {
    ...store.tasks,
    ...limits,
  });
  pack.stdin.end(`${want}\n^${have}\n`);
  const count = await countOf(pack.stdout);
  if (count === undefined || count === 0) {
    pack.stdout.resume();
    await pack.ended;
    return;
  }
  const receiver =
    count < unpackLimit ? ['unpack-objects', '-q', '--strict'] : ['index-pack', '--stdin', '--fix-thin', '--strict'];
  const unpack = context.git.process(receiver, { ...inOrigin(origin), ...limits });
  unpack.stdout.resume();
  try {
    // If the pipe breaks, the exit codes below give the reason.
    await pipeline(pack.stdout, unpack.stdin).catch(() => {});
    await Promise.all([pack.ended, unpack.ended]);
  } finally {
    pack.kill();
    unpack.kill();
  }
}

const headBytes = 12;
const countAt = 8;

/** Reads the number of objects from a pack's header without consuming the header. Undefined if there is no pack. */
async function countOf(pack: Readable): Promise<number | undefined> {
  for (;;) {
    const head = pack.read(headBytes) as Buffer | null;
    if (head !== null) {
      if (head.length < headBytes) return undefined;
      pack.unshift(head);
      return head.readUInt32BE(countAt);
    }
    if (pack.readableEnded || pack.destroyed) return undefined;
    await Promise.race([once(pack, 'readable'), once(pack, 'end'), once(pack, 'close')]);
  }
}
