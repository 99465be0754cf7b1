/**
 * Refs in the user's repository for landed commits that wait to be merged into a checkout. The names of these refs are
 * flat. With nested names, a leftover ref of a branch `a` would conflict with the ref of a later branch `a/b`. Earlier
 * versions used nested names. Such refs are still found, and the next landing renames them.
 */
import { createHash } from 'node:crypto';

export const landedFolder = 'refs/coppice/landed/';

/** Maximum length of a flat name in bytes. A file name may have 255 bytes, and git appends `.lock` to the name. */
const nameBytesMax = 200;

export function landedRef(branch: string): string {
  const name = branch.replaceAll('%', '%25').replaceAll('/', '%2F');
  if (Buffer.byteLength(name) <= nameBytesMax) return `${landedFolder}${name}`;
  return `${landedFolder}%${createHash('sha256').update(branch).digest('hex')}`;
}

const nestedRef = (branch: string): string => `${landedFolder}${branch}`;

/** Returns the possible refs of a branch. The name that this version writes comes first. */
export const landedRefs = (branch: string): string[] => [...new Set([landedRef(branch), nestedRef(branch)])];

/** Builds the commands of a ref transaction that renames refs of earlier versions. Empty if all names are flat. */
export function flatten(refs: ReadonlyMap<string, string>): string[] {
  return [...refs].flatMap(([ref, commit]) => {
    const branch = ref.slice(landedFolder.length);
    if (!ref.startsWith(landedFolder) || !branch.includes('/')) return [];
    const flat = landedRef(branch);
    // If there is a flat ref too, it is newer.
    const kept = refs.has(flat) ? `refs/coppice/superseded/${commit}` : flat;
    return [`delete ${ref} ${commit}`, `update ${kept} ${commit}`];
  });
}
