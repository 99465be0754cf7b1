import { existsSync } from 'node:fs';
import { hostname } from 'node:os';

/** Converts a path of this process into the path by which the daemon finds the same file. */
export type PathTranslation = (path: string) => string;

interface Inspected {
  Mounts: { Source: string; Destination: string }[];
}

/**
 * Finds the translation of paths. If this process runs in a container, the daemon needs the host's paths of the
 * container's folders. They are the sources of the container's mounts. The probe checks the translation.
 */
export async function findPathTranslation(inspect: (id: string) => Promise<Inspected>): Promise<PathTranslation> {
  if (!existsSync('/.dockerenv') && !existsSync('/run/.containerenv')) return (path) => path;
  const self = await inspect(hostname()).catch(() => undefined);
  return translationOf(self?.Mounts ?? []);
}

export function translationOf(mounts: Inspected['Mounts']): PathTranslation {
  const innermostFirst = mounts.toSorted((a, b) => b.Destination.length - a.Destination.length);
  return (path) => {
    const mount = innermostFirst.find(({ Destination }) => path === Destination || path.startsWith(`${Destination}/`));
    return mount === undefined ? path : mount.Source + path.slice(mount.Destination.length);
  };
}
