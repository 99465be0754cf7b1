import coerce from 'semver/functions/coerce.js';
import gte from 'semver/functions/gte.js';

/**
 * Returns the first version number in a program's output, such as `2.39.3` for `git version 2.39.3 (Apple Git-146)`.
 * Leaves out a suffix such as `-rc.1`. Returns null if there is no version number.
 */
export const parseVersion = (text: string): string | null => coerce(text)?.version ?? null;

/**
 * Returns true if `version` is `minimum` or newer. Missing parts count as 0. A pre-release counts as its release.
 * Returns false if `version` contains no version number.
 */
export function isAtLeast(version: string, minimum: string): boolean {
  const parsed = parseVersion(version);
  return parsed !== null && gte(parsed, minimum);
}
