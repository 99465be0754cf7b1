/** Versions of the contract, as `major.minor.patch`. Before 1.0.0, a breaking change raises the minor version. */

type Version = [major: number, minor: number, patch: number];

function parts(version: string): Version {
  const match = /^(\d+)\.(\d+)\.(\d+)$/.exec(version);
  if (match === null) throw new Error(`expected a version as major.minor.patch, received ${JSON.stringify(version)}`);
  return [Number(match[1]), Number(match[2]), Number(match[3])];
}

const compare = (left: Version, right: Version): number =>
  left[0] - right[0] || left[1] - right[1] || left[2] - right[2];

/** Returns the newest version, or null if there is none. */
export const newest = (versions: readonly string[]): string | null =>
  versions.map(parts).toSorted(compare).at(-1)?.join('.') ?? null;

/** True if the version number allows breaking changes since the released version. */
export function isBreakAllowed(released: string, version: string): boolean {
  const [before, after] = [parts(released), parts(version)];
  return after[0] > before[0] || (before[0] === 0 && after[0] === 0 && after[1] > before[1]);
}
