/**
 * The refs, in the user's repository, of what has landed on a branch and waits to be merged into a checkout. Flat names: what is left of a
 * branch `a` would keep a branch `a/b` of today from having one. Earlier versions nested them; theirs are found, and get their new name at
 * the next landing.
 */
import { createHash } from 'node:crypto';

export const landedFolder = 'refs/coppice/landed/';

/** A file name may have 255 bytes; git adds `.lock`. */
const nameBytesMax = 200;

export function landedRef(branch: string): string {
  const name = branch.replaceAll('%', '%25').replaceAll('/', '%2F');
  if (Buffer.byteLength(name) <= nameBytesMax) return `${landedFolder}${name}`;
  return `${landedFolder}%${createHash('sha256').update(branch).digest('hex')}`;
}

const nestedRef = (branch: string): string => `${landedFolder}${branch}`;

/** Where a branch's may stand, the present name first. */
export const landedRefs = (branch: string): string[] => [...new Set([landedRef(branch), nestedRef(branch)])];

/** The commands that rename those of earlier versions, for one transaction; none where all are flat. */
export function flatten(refs: ReadonlyMap<string, string>): string[] {
  return [...refs].flatMap(([ref, commit]) => {
    const branch = ref.slice(landedFolder.length);
    if (!ref.startsWith(landedFolder) || !branch.includes('/')) return [];
    const flat = landedRef(branch);
    // Where there is one already, it is the newer.
    const kept = refs.has(flat) ? `refs/coppice/superseded/${commit}` : flat;
    return [`delete ${ref} ${commit}`, `update ${kept} ${commit}`];
  });
}
