import { readFileSync } from 'node:fs';
import { integerVariable } from './configuration.ts';

const sandboxUidDefault = 10_001;
const uidMax = 2 ** 31 - 1;

/** Environment variables of the services that share the worktrees. All services of a stack need the same values. */
export const sandboxVariables = {
  /** User id of sandboxes and owner of worktrees if the stack runs as root. The user should own nothing else on the host. */
  COPPICE_SANDBOX_UID: integerVariable({ min: 1, max: uidMax }).default(sandboxUidDefault),
};

/** Reports whether this process is root and may act as another user. Otherwise sandboxes run as its own user. */
export const isRoot = (): boolean => process.getuid?.() === 0;

/** Returns the user of sandboxes. Without root it is the stack's own user, which could not delete files of another user. */
export function sandboxUser(uid: number = sandboxUidDefault): { uid: number; gid: number } {
  const own = { uid: process.getuid?.() ?? uid, gid: process.getgid?.() ?? uid };
  return isRoot() ? { uid, gid: uid } : own;
}

/**
 * Reports whether a root process can become this user: in some containers root is the only user (user_namespaces(7)).
 * @param map content of `/proc/self/uid_map`: lines of first id inside, first id outside, and count
 */
export function userExists(uid: number, map: string = readUserMap()): boolean {
  const ranges = map
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  return ranges.some(([first = 0, , count = 0]) => uid >= first && uid < first + count);
}

/** Reads the uid map. Without that file every user exists. */
function readUserMap(): string {
  try {
    return readFileSync('/proc/self/uid_map', 'utf8');
  } catch {
    return `0 0 ${2 ** 32 - 1}`;
  }
}
