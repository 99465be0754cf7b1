/**
 * A lock that allows only one set-up at a time in a checkout.
 *
 * Collaborators: setup.js holds the lock during all steps. The lock file, `.cache/setup.lock`, contains the holder's
 * process id.
 *
 * Invariants:
 * 1. The lock file is created exclusively (`wx`), so that two processes never hold the lock at the same time.
 * 2. If the lock's holder has ended, another process removes the lock. It first takes a second lock, the guard file,
 *    and reads the lock file again. So it never removes a lock that a third process has just taken.
 * 3. A process holds the guard file only during synchronous code. So if a guard file is older than `guardAgeMsMax`, its
 *    holder has ended.
 */
import { closeSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { say, SetupError } from './report.js';

const waitMsMax = 15 * 60_000;
const pollMs = 200;
const guardAgeMsMax = 10_000;

/**
 * @template T
 * @param {string} file
 * @param {() => Promise<T>} work
 * @param {number} [timeoutMs]
 * @returns {Promise<T>}
 */
export async function withLock(file, work, timeoutMs = waitMsMax) {
  const deadline = Date.now() + timeoutMs;
  let isReported = false;
  while (!createExclusively(file)) {
    removeIfHolderIsGone(file);
    if (Date.now() > deadline) {
      throw new SetupError('Another set-up of this checkout does not end.', {
        tried: [`waited ${Math.round(timeoutMs / 1000)} s for process ${readHolder(file) ?? 'unknown'}`],
        byHand: `end that process; if it is not a set-up, delete ${file}`,
      });
    }
    if (!isReported)
      say(`another set-up of this checkout is running (process ${readHolder(file) ?? 'unknown'}); waiting for it`);
    isReported = true;
    await sleep(pollMs);
  }
  const release = () => rmSync(file, { force: true });
  process.once('exit', release);
  try {
    return await work();
  } finally {
    process.removeListener('exit', release);
    release();
  }
}

/** @param {string} file */
function createExclusively(file) {
  try {
    const descriptor = openSync(file, 'wx');
    writeSync(descriptor, String(process.pid));
    closeSync(descriptor);
    return true;
  } catch (error) {
    if (isErrorCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/** @param {string} file */
function removeIfHolderIsGone(file) {
  if (!holderIsGone(file)) return;
  const guard = `${file}.guard`;
  if (!createExclusively(guard)) {
    if (ageMs(guard) > guardAgeMsMax) rmSync(guard, { force: true });
    return;
  }
  if (holderIsGone(file)) rmSync(file, { force: true });
  rmSync(guard, { force: true });
}

/** @param {string} file */
function holderIsGone(file) {
  const holder = readHolder(file);
  // If the lock file is empty, the holder hasn't written its id yet, or ended before it could.
  if (holder === undefined) return ageMs(file) > guardAgeMsMax;
  try {
    process.kill(holder, 0);
    return false;
  } catch (error) {
    return isErrorCode(error, 'ESRCH');
  }
}

/**
 * @param {string} file
 * @returns {number | undefined}
 */
function readHolder(file) {
  try {
    const holder = Number.parseInt(readFileSync(file, 'utf8'), 10);
    return holder > 0 ? holder : undefined;
  } catch {
    return undefined;
  }
}

/** @param {string} file */
function ageMs(file) {
  return Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
}

/**
 * @param {unknown} error
 * @param {string} code
 */
function isErrorCode(error, code) {
  return error instanceof Error && 'code' in error && error.code === code;
}
