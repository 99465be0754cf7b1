import { existsSync } from 'node:fs';
import { hostname } from 'node:os';

/** Converts a path of this process into the path by which the daemon finds the same file. */
export type PathTranslation = (path: string) => string;

interface Inspected {
  Mounts: { Source: string; Destination: string }[];
}

/**
 * Finds the translation of paths. If this process runs in a container (docker-compose), the daemon needs the host's paths of this process's
 * folders. These are the sources of this container's mounts. To check the translation, the probe reads a file of this process in a
 * container.
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
