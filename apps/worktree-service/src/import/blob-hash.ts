import { createHash, type Hash } from 'node:crypto';

const sha256Digits = 64;

/**
 * Creates a hash whose digest is the id of a git blob, once the blob's content was added. `digits`: number of hexadecimal digits of the
 * repository's object ids.
 */
export const blobHash = (bytes: number | bigint, digits: number): Hash =>
  createHash(digits === sha256Digits ? 'sha256' : 'sha1').update(`blob ${bytes}\0`);
