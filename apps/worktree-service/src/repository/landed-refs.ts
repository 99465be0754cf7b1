/**
 * Refs in the user's repository for commits that have landed and wait to be merged into a checkout. The names are flat: a leftover ref of a branch
 * `a` would otherwise conflict with that of a later branch `a/b`. Earlier versions nested them; their refs are still found, and renamed at the next
 * landing.
 */
import { createHash } from 'node:crypto';

export const landedFolder = 'refs/coppice/landed/';

/** Limit on the name's length. A file name may have 255 bytes, and git appends `.lock`. */
const nameBytesMax = 200;

export function landedRef(branch: string): string {
  const name = branch.replaceAll('%', '%25').replaceAll('/', '%2F');
  if (Buffer.byteLength(name) <= nameBytesMax) return `${landedFolder}${name}`;
  return `${landedFolder}%${createHash('sha256').update(branch).digest('hex')}`;
}

const nestedRef = (branch: string): string => `${landedFolder}${branch}`;

/** Possible refs of a branch, the current name first. */
export const landedRefs = (branch: string): string[] => [...new Set([landedRef(branch), nestedRef(branch)])];

/** Builds the commands that rename refs of earlier versions, for one transaction; empty if all names are flat. */
export function flatten(refs: ReadonlyMap<string, string>): string[] {
  return [...refs].flatMap(([ref, commit]) => {
    const branch = ref.slice(landedFolder.length);
    if (!ref.startsWith(landedFolder) || !branch.includes('/')) return [];
    const flat = landedRef(branch);
    // An existing flat ref is the newer one.
    const kept = refs.has(flat) ? `refs/coppice/superseded/${commit}` : flat;
    return [`delete ${ref} ${commit}`, `update ${kept} ${commit}`];
  });
}
