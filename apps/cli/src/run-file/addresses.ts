/** Resolves the addresses in a run file that are relative to the file's folder. */
import { realpath, stat } from 'node:fs/promises';
import path from 'node:path';

/** `scheme://…`, or git's short form for ssh. Coppice doesn't support Windows drive letters. */
const url = /^(?:[a-z][a-z0-9+.-]*:\/\/|(?:[\w.-]+@)?[a-zA-Z0-9][\w.-]*:(?!\/\/)[^\\])/i;

const isUrl = (repository: string): boolean => url.test(repository);

/**
 * Returns a repository for the request. A URL stays unchanged. A path is made absolute and its symbolic links are resolved. If the path is
 * not a folder on this machine, returns null or, with `elsewhere` (the worktree service may run on another machine), the absolute path.
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

/** Makes the path in a scripted model's name absolute. That path is relative to the run file. Other models stay unchanged. */
export function resolveModel(model: string, baseFolder: string): string {
  if (!model.startsWith(scriptedProvider)) return model;
  return scriptedProvider + path.resolve(baseFolder, model.slice(scriptedProvider.length));
}
