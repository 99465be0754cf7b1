import { createHash, type Hash } from 'node:crypto';

const sha256Digits = 64;

/** Gives the id of a git object once the content is in it. `digits`: how long ids are in the repository. */
export const blobHash = (bytes: number | bigint, digits: number): Hash =>
  createHash(digits === sha256Digits ? 'sha256' : 'sha1').update(`blob ${bytes}\0`);
