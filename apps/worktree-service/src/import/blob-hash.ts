import { createHash, type Hash } from 'node:crypto';

const sha256Digits = 64;

/**
 * Creates a hash for the id of a git blob. The caller adds the blob's content. `digits` is the length of the
 * repository's object ids in hexadecimal digits.
 */
export const blobHash = (bytes: number | bigint, digits: number): Hash =>
  createHash(digits === sha256Digits ? 'sha256' : 'sha1').update(`blob ${bytes}\0`);
