import { readFileSync } from 'node:fs';
import { integerVariable } from './configuration.ts';

const sandboxUidDefault = 10_001;
const uidMax = 2 ** 31 - 1;

/** Environment variables of the services that share the worktrees. All services of a stack need the same values. */
export const sandboxVariables = {
  /** If the stack runs as root, the id of the user that sandboxes run as and that owns the worktrees. This user should own nothing else on the host. */
  COPPICE_SANDBOX_UID: integerVariable({ min: 1, max: uidMax }).default(sandboxUidDefault),
};

/** Returns true if this process is root, and so can start sandboxes as another user. Any other process starts sandboxes as its own user. */
export const isRoot = (): boolean => process.getuid?.() === 0;

/** Returns the user and group of sandboxes. If the stack runs as root, this is `uid`. Otherwise it is the stack's own user, since the stack couldn't delete another user's files. */
export function sandboxUser(uid: number = sandboxUidDefault): { uid: number; gid: number } {
  const own = { uid: process.getuid?.() ?? uid, gid: process.getgid?.() ?? uid };
  return isRoot() ? { uid, gid: uid } : own;
}

/**
 * Returns true if a root process can become this user. In some containers root is the only user; see user_namespaces(7).
 * @param map content of `/proc/self/uid_map`. Each line is a range: the first id inside the namespace, the first id outside of it, and the number of ids.
 */
export function userExists(uid: number, map: string = readUserMap()): boolean {
  const ranges = map
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  return ranges.some(([first = 0, , count = 0]) => uid >= first && uid < first + count);
}

/** Reads the uid map. If the system has no such file, returns a map in which every user exists. */
function readUserMap(): string {
  try {
    return readFileSync('/proc/self/uid_map', 'utf8');
  } catch {
    return `0 0 ${2 ** 32 - 1}`;
  }
}
