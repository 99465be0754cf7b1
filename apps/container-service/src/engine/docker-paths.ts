import { existsSync } from 'node:fs';
import { hostname } from 'node:os';

/** From a path as this process sees it to the daemon's. */
export type PathTranslation = (path: string) => string;

interface Inspected {
  Mounts: { Source: string; Destination: string }[];
}

/**
 * Inside a container (docker-compose) the daemon knows our folders under its own host's paths: those of our container's
 * mounts. That the translation is right is proved by the probe, which reads a file of ours through a container.
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
