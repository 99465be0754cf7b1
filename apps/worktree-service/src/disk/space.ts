import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Default for the bytes that must be free for new work. A small file system needs only a fraction of its size. */
const freeBytesDefault = 1024 ** 3;
const freePartDefault = 0.05;
/** Fraction of a file system's inodes that must be free for new work. */
const inodesPartMin = 0.01;
/** An inode counts as at least this many bytes. */
const inodeBytesMin = 4096;
const measureMsMax = 120_000;

export type Space = {
  freeBytes: number;
  totalBytes: number;
  /** Free bytes below which new work is rejected. */
  freeBytesMin: number;
  /** Both 0 on a file system that has no fixed number of inodes. */
  inodesFree: number;
  inodesFreeMin: number;
  isLow: boolean;
};

/** @param freeBytesMin null for the default */
export async function spaceOf(folder: string, freeBytesMin: number | null): Promise<Space> {
  const { bsize, blocks, bavail, files, ffree } = await statfs(folder);
  const [freeBytes, totalBytes] = [bavail * bsize, blocks * bsize];
  const least = freeBytesMin ?? Math.min(freeBytesDefault, totalBytes * freePartDefault);
  const inodesFreeMin = least > 0 ? Math.ceil(files * inodesPartMin) : 0;
  const isLow = freeBytes < least || ffree < inodesFreeMin;
  return { freeBytes, totalBytes, freeBytesMin: least, inodesFree: ffree, inodesFreeMin, isLow };
}

/** Describes whether a file system lacks bytes or inodes. */
export function shortageText(space: Omit<Space, 'totalBytes' | 'isLow'>): string {
  const { freeBytes, freeBytesMin, inodesFree, inodesFreeMin } = space;
  return freeBytes < freeBytesMin || inodesFree >= inodesFreeMin
    ? `${bytesText(freeBytes)} free, and ${bytesText(freeBytesMin)} are kept free`
    : `${inodesFree} inodes free, and ${inodesFreeMin} are kept free (each file takes one; df -i shows them)`;
}

/**
 * Returns the allocated bytes of a folder; null if they can't be measured in time. Symbolic links are not followed, and unreadable parts
 * are not counted.
 */
export async function bytesIn(folder: string): Promise<number | null> {
  const kibibytes = await diskUse('-k', folder);
  return kibibytes === null ? null : kibibytes * 1024;
}

/**
 * Returns the bytes with which a folder counts towards a limit: its allocated bytes or, if larger, the share of the
 * disk that matches its inodes. So empty files are limited too. Without GNU `du`, inodes can't be counted, and only
 * bytes count.
 */
export async function weightIn(folder: string): Promise<number | null> {
  const bytes = await bytesIn(folder);
  const inodes = await diskUse('--inodes', folder);
  if (bytes === null || inodes === null) return bytes;
  const { bsize, blocks, files } = await statfs(folder);
  // Some file systems have no fixed number of inodes and report 0.
  return Math.max(bytes, inodes * Math.max(inodeBytesMin, files > 0 ? (blocks * bsize) / files : 0));
}

async function diskUse(unit: '-k' | '--inodes', folder: string): Promise<number | null> {
  if (!existsSync(folder)) return 0;
  const options = { timeout: measureMsMax, env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C' } };
  const text = await run('du', ['-sx', unit, '--', folder], options).then(
    ({ stdout }) => stdout,
    // `du` exits with 1 if a part can't be read or disappears while it runs, and prints the total of the rest.
    (error: unknown) => (error as { stdout?: string }).stdout ?? '',
  );
  const count = /^(\d+)\s/.exec(text)?.[1];
  return count === undefined ? null : Number(count);
}

/** Formats a size, such as `1.5 GiB` or `20 MiB`. */
export function bytesText(bytes: number): string {
  const mebibytes = bytes / 1024 ** 2;
  return mebibytes < 1024 ? `${Math.ceil(mebibytes)} MiB` : `${(mebibytes / 1024).toFixed(1)} GiB`;
}
