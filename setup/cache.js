/** The cache folder: linked programs, and folders that are created atomically. */
import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { binFolder, cacheFolder, temporaryFolder } from './paths.js';
import { SetupError } from './report.js';

/** Removes the files of interrupted set-ups. Only the holder of the set-up lock may call this. */
export function clearLeftovers() {
  rmSync(temporaryFolder, { recursive: true, force: true });
  mkdirSync(temporaryFolder, { recursive: true });
}

/** Creates the cache folder. Throws SetupError if it can't be written. */
export function openCache() {
  try {
    mkdirSync(binFolder, { recursive: true });
    rmSync(mkdtempSync(join(cacheFolder, 'write-')), { recursive: true });
  } catch (error) {
    throw new SetupError('The cache folder of this checkout cannot be written.', {
      tried: [error instanceof Error ? error.message : String(error)],
      byHand: `make ${cacheFolder} yours (it was perhaps made by root), or delete it, or use a checkout of your own`,
    });
  }
}

/**
 * Runs work with a temporary folder, which is always deleted afterwards.
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
 * Moves a finished folder to its target, so that an interrupted step never looks complete.
 * @param {string} finished
 * @param {string} target
 */
export function moveIntoPlace(finished, target) {
  mkdirSync(dirname(target), { recursive: true });
  rmSync(target, { recursive: true, force: true });
  renameSync(finished, target);
}

/**
 * Links a program as `.cache/bin/<name>`. Links inside the checkout are relative, so that the checkout can be moved.
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
