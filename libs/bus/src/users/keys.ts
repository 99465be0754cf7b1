import { nkeys } from '../nats.ts';

/** An nkey. The server has the public key (`U…`), and the client signs with the seed (`SU…`). */
export type UserKey = { seed: string; publicKey: string };

export function newUserKey(): UserKey {
  const pair = nkeys.createUser();
  return { seed: new TextDecoder().decode(pair.getSeed()), publicKey: pair.getPublicKey() };
}

/** @throws Error when the text isn't a seed. The message doesn't quote the text. */
export function publicKeyOf(seed: string): string {
  try {
    return nkeys.fromSeed(new TextEncoder().encode(seed)).getPublicKey();
  } catch {
    throw new Error('not the seed of an nkey');
  }
}
