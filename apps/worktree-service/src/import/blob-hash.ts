import { createHash, type Hash } from 'node:crypto';

const sha256Digits = 64;

/** Creates a hash that gives the id of a git blob after its content is added. `digits`: length of ids in the repository. */
export const blobHash = (bytes: number | bigint, digits: number): Hash =>
  createHash(digits === sha256Digits ? 'sha256' : 'sha1').update(`blob ${bytes}\0`);
