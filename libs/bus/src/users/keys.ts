import { nkeys } from '../nats.ts';

/** An nkey: the server has the public key (`U…`), a client signs with the seed (`SU…`). */
export type UserKey = { seed: string; publicKey: string };

export function newUserKey(): UserKey {
  const pair = nkeys.createUser();
  return { seed: new TextDecoder().decode(pair.getSeed()), publicKey: pair.getPublicKey() };
}

/** @throws Error when the text isn't a seed; the message doesn't quote it. */
export function publicKeyOf(seed: string): string {
  try {
    return nkeys.fromSeed(new TextEncoder().encode(seed)).getPublicKey();
  } catch {
    throw new Error('not the seed of an nkey');
  }
}
