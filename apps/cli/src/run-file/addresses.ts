/** Resolves the addresses in a run file that are relative to it. */
import { realpath, stat } from 'node:fs/promises';
import path from 'node:path';

/** `scheme://…`, or git's short form for ssh. Coppice doesn't support Windows drive letters. */
const url = /^(?:[a-z][a-z0-9+.-]*:\/\/|(?:[\w.-]+@)?[a-zA-Z0-9][\w.-]*:(?!\/\/)[^\\])/i;

const isUrl = (repository: string): boolean => url.test(repository);

/**
 * Returns a repository for the request: a URL unchanged, a path absolute and with symbolic links resolved. Null if the path is not a folder here; with
 * `elsewhere` (the worktree service may run on another machine) such a path is only made absolute.
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

/** Makes the path in a scripted model's name absolute; it is relative to the run file. Other models stay unchanged. */
export function resolveModel(model: string, baseFolder: string): string {
  if (!model.startsWith(scriptedProvider)) return model;
  return scriptedProvider + path.resolve(baseFolder, model.slice(scriptedProvider.length));
}
