/** Parses and compares version numbers of three parts. */

/** Minimum versions for Coppice. */
export const nodeVersionMin = '24.0.0';
export const natsServerVersionMin = '2.12.0';
/** The first version that supports `env_file` with `required: false`. */
export const dockerComposeVersionMin = '2.24.0';

/**
 * Returns the first version number in a program's `--version` output.
 * @param {string} text for example `nats-server: v2.15.1` or `v24.21.0`
 * @returns {string | undefined} for example `2.15.1`, without a pre-release's suffix
 */
export function parseVersion(text) {
  const match = /(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  if (match === null) return undefined;
  return `${match[1]}.${match[2]}.${match[3] ?? '0'}`;
}

/**
 * @param {string} version
 * @param {string} minimum
 * @returns {boolean}
 */
export function isAtLeast(version, minimum) {
  const have = version.split('.').map(Number);
  const need = minimum.split('.').map(Number);
  for (let index = 0; index < need.length; index += 1) {
    const difference = (have[index] ?? 0) - (need[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}
