import { readFileSync } from 'node:fs';
import { integerVariable } from './configuration.ts';

const sandboxUidDefault = 10_001;
const uidMax = 2 ** 31 - 1;

/** Environment variables of the services that share the worktrees. All services of a stack need the same values. */
export const sandboxVariables = {
  /**
   * Id of the user that sandboxes run as, and that owns the worktrees. Used only if the stack runs as root. This user
   * should own nothing else on the host.
   */
  COPPICE_SANDBOX_UID: integerVariable({ min: 1, max: uidMax }).default(sandboxUidDefault),
};

/** Returns true if this process is root. Only root can start sandboxes as another user. */
export const isRoot = (): boolean => process.getuid?.() === 0;

/**
 * Returns the user and group of sandboxes. If the stack runs as root, both ids are `uid`. Otherwise they are the
 * stack's own.
 */
export function sandboxUser(uid: number = sandboxUidDefault): { uid: number; gid: number } {
  const own = { uid: process.getuid?.() ?? uid, gid: process.getgid?.() ?? uid };
  return isRoot() ? { uid, gid: uid } : own;
}

/**
 * Returns true if a root process can become this user. In some containers, root is the only user (see
 * user_namespaces(7)).
 * @param map content of `/proc/self/uid_map`; each line has the first id inside the namespace, the first id outside,
 * and the number of ids
 */
export function userExists(uid: number, map: string = readUserMap()): boolean {
  const ranges = map
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  return ranges.some(([first = 0, , count = 0]) => uid >= first && uid < first + count);
}

/** Reads the uid map. If the system has none, returns a map in which every user exists. */
function readUserMap(): string {
  try {
    return readFileSync('/proc/self/uid_map', 'utf8');
  } catch {
    return `0 0 ${2 ** 32 - 1}`;
  }
}
