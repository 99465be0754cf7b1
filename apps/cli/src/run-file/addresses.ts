import { realpath, stat } from 'node:fs/promises';
import path from 'node:path';

/** Matches `scheme://…` and git's short form for ssh, `host:path`. Windows drive letters aren't supported. */
const url = /^(?:[a-z][a-z0-9+.-]*:\/\/|(?:[\w.-]+@)?[a-zA-Z0-9][\w.-]*:(?!\/\/)[^\\])/i;

const isUrl = (repository: string): boolean => url.test(repository);

/**
 * Returns the repository for the request. A URL stays unchanged. A path becomes absolute, without symbolic links.
 * Returns null for a file. For a missing path, returns null or, with `elsewhere`, the absolute path, since the stack's
 * machine may have it.
 */
export async function resolveRepository(
  repository: string,
  baseFolder: string,
  options: { elsewhere: boolean },
): Promise<string | null> {
  if (isUrl(repository)) return repository;
  const absolute = path.resolve(baseFolder, repository);
  try {
    const real = await realpath(absolute);
    return (await stat(real)).isDirectory() ? real : null;
  } catch {
    return options.elsewhere ? absolute : null;
  }
}

const scriptedProvider = 'scripted/';

/** Makes the path in a scripted model's name absolute. Returns other models unchanged. */
export function resolveModel(model: string, baseFolder: string): string {
  if (!model.startsWith(scriptedProvider)) return model;
  return scriptedProvider + path.resolve(baseFolder, model.slice(scriptedProvider.length));
}
