/** Version numbers as far as set-up needs them: three numbers, compared in order. */

/** The lowest versions that Coppice runs with. */
export const nodeVersionMin = '24.0.0';
export const natsServerVersionMin = '2.12.0';
/** `env_file` with `required: false` came with it. */
export const dockerComposeVersionMin = '2.24.0';

/**
 * Finds the first version number in what a program prints for `--version`.
 * @param {string} text for example `nats-server: v2.15.1` or `v24.21.0`
 * @returns {string | undefined} for example `2.15.1`; a pre-release's suffix is dropped
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
