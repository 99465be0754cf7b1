/** What a run file names relative to itself. */
import { realpath, stat } from 'node:fs/promises';
import path from 'node:path';

/** `scheme://…`, or git's short form of ssh. A Windows drive letter isn't supported by Coppice. */
const url = /^(?:[a-z][a-z0-9+.-]*:\/\/|(?:[\w.-]+@)?[a-zA-Z0-9][\w.-]*:(?!\/\/)[^\\])/i;

const isUrl = (repository: string): boolean => url.test(repository);

/**
 * A repository as the message needs it: a URL as it is, a path absolute and with symbolic links resolved. Null for a path that is no folder here;
 * with `elsewhere` (the worktree service may run on another machine) such a path is only made absolute.
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

/** The scripted model's name is its script's path: a relative one is relative to the run file. Other models stay. */
export function resolveModel(model: string, baseFolder: string): string {
  if (!model.startsWith(scriptedProvider)) return model;
  return scriptedProvider + path.resolve(baseFolder, model.slice(scriptedProvider.length));
}
