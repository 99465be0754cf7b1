/** Functions for the cache folder. It contains links to programs, and folders that are created atomically. */
import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { binFolder, cacheFolder, temporaryFolder } from './paths.js';
import { SetupError } from './report.js';

/** Removes temporary files of interrupted set-ups. The caller must hold the set-up lock. */
export function clearLeftovers() {
  rmSync(temporaryFolder, { recursive: true, force: true });
  mkdirSync(temporaryFolder, { recursive: true });
}

/** Creates the cache folder if it is missing. Throws SetupError if the folder isn't writable. */
export function openCache() {
  try {
    mkdirSync(binFolder, { recursive: true });
    rmSync(mkdtempSync(join(cacheFolder, 'write-')), { recursive: true });
  } catch (error) {
    throw new SetupError('The cache folder of this checkout is not writable.', {
      tried: [error instanceof Error ? error.message : String(error)],
      byHand: `change the owner of ${cacheFolder} to your user (perhaps root created it), or delete it, or use a checkout of your own`,
    });
  }
}

/**
 * Runs `work` with a temporary folder. Deletes the folder afterwards, even if `work` fails.
 * @template T
 * @param {(folder: string) => T | Promise<T>} work
 * @returns {Promise<T>}
 */
export async function inTemporaryFolder(work) {
  const folder = mkdtempSync(join(temporaryFolder, 'step-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Renames a complete folder to its target, so that an interrupted step never leaves an incomplete target.
 * @param {string} finished
 * @param {string} target
 */
export function moveIntoPlace(finished, target) {
  mkdirSync(dirname(target), { recursive: true });
  rmSync(target, { recursive: true, force: true });
  renameSync(finished, target);
}

/**
 * Creates or replaces the link `.cache/bin/<name>` to a program. A link to a program in the cache folder is relative, so that the checkout can be moved.
 * @param {string} name
 * @param {string} target
 * @returns {string} the link
 */
export function linkProgram(name, target) {
  const link = join(binFolder, name);
  const inside = target.startsWith(`${cacheFolder}/`);
  const wanted = inside ? relative(realpathSync(binFolder), realpathSync(target)) : target;
  const temporary = `${link}.${process.pid}`;
  rmSync(temporary, { force: true });
  symlinkSync(wanted, temporary);
  renameSync(temporary, link);
  return link;
}
