import { readFileSync } from 'node:fs';
import { integerVariable } from './configuration.ts';

const sandboxUidDefault = 10_001;
const uidMax = 2 ** 31 - 1;

/** What the services that share the worktrees read: all of a stack must have the same. */
export const sandboxVariables = {
  /** Whom sandboxes run as, and worktrees belong to, where the stack is root: a user that owns nothing else on the host. */
  COPPICE_SANDBOX_UID: integerVariable({ min: 1, max: uidMax }).default(sandboxUidDefault),
};

/** Whether this process may act as another user. Where it may not, sandboxes run as its own. */
export const isRoot = (): boolean => process.getuid?.() === 0;

/** Whom sandboxes run as: as another user than its own a stack without rights couldn't delete what they made. */
export function sandboxUser(uid: number = sandboxUidDefault): { uid: number; gid: number } {
  const own = { uid: process.getuid?.() ?? uid, gid: process.getgid?.() ?? uid };
  return isRoot() ? { uid, gid: uid } : own;
}

/**
 * Whether a root process could become this user at all: in some containers root is the only user that there is (user_namespaces(7)).
 * @param map of `/proc/self/uid_map`: lines of first id inside, first id outside, and how many
 */
export function userExists(uid: number, map: string = readUserMap()): boolean {
  const ranges = map
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  return ranges.some(([first = 0, , count = 0]) => uid >= first && uid < first + count);
}

/** Where the kernel has no such file, every user exists. */
function readUserMap(): string {
  try {
    return readFileSync('/proc/self/uid_map', 'utf8');
  } catch {
    return `0 0 ${2 ** 32 - 1}`;
  }
}
