import coerce from 'semver/functions/coerce.js';
import gte from 'semver/functions/gte.js';

/** Returns the first version in a program's output, such as `2.39.3` of `git version 2.39.3 (Apple Git-146)`; null if there is none. A pre-release's suffix is dropped. */
export const parseVersion = (text: string): string | null => coerce(text)?.version ?? null;

/** Compares versions. Missing parts count as 0, a pre-release as its release. Returns false if `version` isn't one. */
export function isAtLeast(version: string, minimum: string): boolean {
  const parsed = parseVersion(version);
  return parsed !== null && gte(parsed, minimum);
}
