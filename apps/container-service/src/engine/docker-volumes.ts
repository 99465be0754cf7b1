/** What becomes of the places that an image declares as volumes: Docker would make a folder of the host for each, without any limit. */
import { posix } from 'node:path';
import type { Mount } from './port.ts';
import { refuse } from './specification.ts';

const volumesMax = 16;

/** Of an image's `Config.Volumes`. */
export function volumesOf(declared: Readonly<Record<string, unknown>> | null | undefined): string[] {
  const paths = Object.keys(declared ?? {}).map((path) => posix.join('/', path).replace(/\/$/, ''));
  return [...new Set(paths)];
}

/**
 * Those that have to be scratch, of limited size and empty at each command, since no mount of the sandbox lies over them already.
 * @throws CoppiceError `sandbox-refused` for one inside a mount, where the daemon would make its folder as root, and for too many
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
