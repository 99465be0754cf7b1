/**
 * Handling of the volumes that an image declares. By default, Docker creates a folder without a size limit on the host
 * for each volume.
 */
import { posix } from 'node:path';
import type { Mount } from './port.ts';
import { refuse } from './specification.ts';

const volumesMax = 16;

/** Returns the normalized paths of an image's `Config.Volumes`. */
export function volumesOf(declared: Readonly<Record<string, unknown>> | null | undefined): string[] {
  const paths = Object.keys(declared ?? {}).map((path) => posix.join('/', path).replace(/\/$/, ''));
  return [...new Set(paths)];
}

/**
 * Returns the volumes that no mount of the sandbox covers. They become scratch folders, which are limited in size and
 * empty for each command.
 * @throws CoppiceError `sandbox-refused` if there are too many volumes, or if a volume is inside a mount. For such a
 * volume, the daemon would create a folder as root.
 */
export function scratchVolumes(volumes: readonly string[], image: string, mounts: readonly Mount[]): string[] {
  const scratch = volumes.filter((path) => path !== '/tmp' && !mounts.some(({ target }) => target === path));
  for (const path of scratch) {
    const mount = mounts.find(({ target }) => path.startsWith(`${target}/`));
    if (mount !== undefined) refuse(`image ${image} declares volume ${path}, which lies inside mount ${mount.target}`);
  }
  if (scratch.length > volumesMax) {
    refuse(`image ${image} declares ${scratch.length} volumes, at most ${volumesMax} are allowed`);
  }
  return scratch;
}
