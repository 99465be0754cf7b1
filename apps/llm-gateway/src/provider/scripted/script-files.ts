import { readFile, readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import { gatewayLimits } from '../../limits.ts';

export type ScriptFolders = {
  /** Absolute paths, which are searched in this order. */
  folders: readonly string[];
  /**
   * True if a request may name a script outside of the folders by its absolute path. This is safe only if everyone who
   * submits tasks owns the machine.
   */
  anywhere: boolean;
};

/** A script's file. Other files that the script names must be in the folder `root`. */
export type ScriptFile = { path: string; root: string };

const suggestionsMax = 10;

/**
 * Finds the file of `scripted/<name>`. Symbolic links are resolved before the check that the file is inside a folder.
 * @throws CoppiceError `model-not-found`, or `permission-denied` for a path outside of the folders.
 */
export async function findScript(name: string, { folders, anywhere }: ScriptFolders): Promise<ScriptFile> {
  if (path.isAbsolute(name) && anywhere) {
    const file = await realFile(name);
    if (file !== null) return { path: file, root: path.dirname(file) };
    throw new CoppiceError('model-not-found', `there is no script ${name}`);
  }
  let leadsOut = false;
  for (const folder of folders) {
    const root = await realpath(folder).catch(() => null);
    if (root === null) continue;
    const wanted = path.resolve(root, name);
    if (!isInside(wanted, root) && !isInside(wanted, folder)) {
      leadsOut = true;
      continue;
    }
    const file = await realFile(wanted);
    if (file === null) continue;
    if (isInside(file, root)) return { path: file, root };
    leadsOut = true;
  }
  if (leadsOut) {
    throw new CoppiceError(
      'permission-denied',
      `script ${name} is outside of the folders from which this gateway plays scripts`,
    );
  }
  throw new CoppiceError('model-not-found', `there is no script ${name}; ${await suggestions(folders)}`);
}

export async function readScriptText(file: ScriptFile): Promise<string> {
  return readBounded(file.path, gatewayLimits.scriptBytesMax);
}

/**
 * @param name path relative to the script
 * @throws CoppiceError `invalid-request`.
 */
export async function readBeside(script: ScriptFile, name: string): Promise<string> {
  const file = await realFile(path.resolve(path.dirname(script.path), name));
  if (file === null)
    throw new CoppiceError('invalid-request', `textFile ${name}: there is no such file beside the script`);
  if (!isInside(file, script.root))
    throw new CoppiceError('invalid-request', `textFile ${name} leads out of the script's folder`);
  return readBounded(file, gatewayLimits.textBytesMax);
}

async function readBounded(file: string, bytesMax: number): Promise<string> {
  const { size } = await stat(file);
  if (size > bytesMax)
    throw new CoppiceError('limit-exceeded', `${path.basename(file)} has ${size} bytes; the limit is ${bytesMax}`);
  return readFile(file, 'utf8');
}

/** Resolves symbolic links. Returns null if there is no such regular file. */
async function realFile(file: string): Promise<string | null> {
  try {
    const real = await realpath(file);
    return (await stat(real)).isFile() ? real : null;
  } catch {
    return null;
  }
}

function isInside(file: string, folder: string): boolean {
  const relative = path.relative(folder, file);
  return relative !== '' && relative !== '..' && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative);
}

/** Returns null if there may be scripts. */
export const whyWithoutScripts = ({ folders, anywhere }: ScriptFolders): string | null =>
  folders.length === 0 && !anywhere ? 'no folder of scripts is configured (COPPICE_SCRIPTS)' : null;

async function suggestions(folders: readonly string[]): Promise<string> {
  const none = whyWithoutScripts({ folders, anywhere: false });
  if (none !== null) return none;
  const names: string[] = [];
  for (const folder of folders) {
    const entries = await readdir(folder).catch(() => []);
    names.push(...entries.filter((entry) => /\.ya?ml$/.test(entry)));
  }
  if (names.length === 0) return 'the configured folders (COPPICE_SCRIPTS) hold no scripts';
  return `there are ${names.toSorted().slice(0, suggestionsMax).join(', ')}${names.length > suggestionsMax ? ' …' : ''}`;
}
