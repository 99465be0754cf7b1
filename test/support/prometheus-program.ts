/**
 * Finds Prometheus or promtool for tests in PATH. If it isn't there, unpacks this distribution's package into the cache
 * folder.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { hasApt, unpackPackages } from '../../setup/apt.js';
import { withLock } from '../../setup/lock.js';
import { cacheFolder } from '../../setup/paths.js';
import { findOnPath } from '../../setup/run.js';

export async function prometheusProgram(
  name: 'prometheus' | 'promtool',
): Promise<{ program: string } | { absent: string }> {
  const target = path.join(cacheFolder, 'deb/prometheus');
  const cached = path.join(target, 'usr/bin', name);
  const found = findOnPath(name) ?? (existsSync(cached) ? cached : undefined);
  if (found !== undefined) return { program: found };
  if (!hasApt()) return { absent: `no ${name} here: it is not on PATH, and there is no apt-get to fetch it with` };
  // Two test files may need the program at the same time.
  return withLock(path.join(cacheFolder, 'prometheus.lock'), async () => {
    if (existsSync(cached)) return { program: cached };
    const failure = await unpackPackages({ packages: ['prometheus'], from: 'machine', target });
    return failure === undefined ? { program: cached } : { absent: `no ${name} here: ${failure}` };
  });
}
