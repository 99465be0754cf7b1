import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Free space that new work needs by default; on a small file system it is a part of it. */
const freeBytesDefault = 1024 ** 3;
const freePartDefault = 0.05;
/** Part of a file system's inodes that must be free for new work. */
const inodesPartMin = 0.01;
const measureMsMax = 120_000;

export type Space = {
  freeBytes: number;
  totalBytes: number;
  /** New work is refused while less is free. */
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

/** What a file system has too little of. */
export function shortageText(space: Omit<Space, 'totalBytes' | 'isLow'>): string {
  const { freeBytes, freeBytesMin, inodesFree, inodesFreeMin } = space;
  return freeBytes < freeBytesMin || inodesFree >= inodesFreeMin
    ? `${bytesText(freeBytes)} free, and ${bytesText(freeBytesMin)} are kept free`
    : `${inodesFree} inodes free, and ${inodesFreeMin} are kept free (each file takes one; df -i shows them)`;
}

/**
 * Bytes that a folder takes, as allocated; null where that can't be found out in time. Links are not followed, and what can't be read isn't counted.
 */
export async function bytesIn(folder: string): Promise<number | null> {
  if (!existsSync(folder)) return 0;
  const options = { timeout: measureMsMax, env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C' } };
  const text = await run('du', ['-skx', '--', folder], options).then(
    ({ stdout }) => stdout,
    // It ends with 1 where a part can't be read, or went meanwhile, and prints the rest.
    (error: unknown) => (error as { stdout?: string }).stdout ?? '',
  );
  const kibibytes = /^(\d+)\s/.exec(text)?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}

/** 1.5 GiB, 20 MiB. */
export function bytesText(bytes: number): string {
  const mebibytes = bytes / 1024 ** 2;
  return mebibytes < 1024 ? `${Math.ceil(mebibytes)} MiB` : `${(mebibytes / 1024).toFixed(1)} GiB`;
}
