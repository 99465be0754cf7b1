/**
 * Each process generates its own key pair for signing tokens. It publishes the public key in a bucket that only
 * gateways can write. The private key never leaves the process.
 *
 * Collaborators: the bucket `coppice-gateway-keys`, which maps thumbprints to keys; jose.
 *
 * Invariants:
 * 1. A token is verified with the key that the bucket contains under the token's key id. The id must be the key's
 *    thumbprint.
 * 2. Before a key signs a token, the key is published for longer than the token's lifetime. So tokens stay valid until
 *    they expire, even if the process that signed them has ended.
 * 3. If a key is deleted from the bucket, its tokens become invalid permanently, once the caches of keys and verified
 *    tokens have expired. A deleted key is never published again. Its process generates a new key.
 * 4. An expired entry of the key cache is used only if the bucket can't be read.
 */
import type { KeyValue } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { LRUCache } from 'lru-cache';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK } from './jose.ts';
import type { JWK, SigningKey } from './jose.ts';
import { jsonOf } from '../../transport/json.ts';
import { tokenLimits } from './limits.ts';

export const keyAlgorithm = 'EdDSA';

/** Matches a SHA-256 thumbprint (RFC 7638). Other ids are rejected without a lookup. */
const keyIdPattern = /^[A-Za-z0-9_-]{43}$/;

type Known = { key: SigningKey | null; untilMs: number };
type OwnKey = { pair: Promise<Pair>; publishedUntilMs: number };
type Pair = { id: string; privateKey: SigningKey; publicKey: JWK };

export class TokenKeys {
  readonly #bucket: KeyValue;
  readonly #known = new LRUCache<string, Known>({ max: tokenLimits.keysMax });
  readonly #log = createLogger('llm-gateway');
  /** Null until the first token is signed, and after a revocation. */
  #current: OwnKey | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(bucket: KeyValue) {
    this.#bucket = bucket;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Returns the key for signing a token that expires at this time. */
  async signingKey(expiresAtMs: number): Promise<{ id: string; key: SigningKey }> {
    this.#timer ??= setInterval(() => void this.#refresh(), tokenLimits.keyRefreshMs).unref();
    await this.#retireCalledBack();
    this.#current ??= newKey();
    const current = this.#current;
    const pair = await current.pair;
    if (expiresAtMs >= current.publishedUntilMs) await this.#publish(current);
    return { id: pair.id, key: pair.privateKey };
  }

  /** @throws CoppiceError `permission-denied` if there is no key with this id, `unavailable` if the lookup fails */
  async verificationKey(id: string | undefined): Promise<SigningKey> {
    const key = id !== undefined && keyIdPattern.test(id) ? await this.#find(id) : null;
    if (key === null) throw new CoppiceError('permission-denied', 'the token was signed with an unknown key');
    return key;
  }

  async #find(id: string): Promise<SigningKey | null> {
    const known = this.#known.get(id);
    if (known !== undefined && Date.now() < known.untilMs) return known.key;
    try {
      const key = await this.#read(id);
      this.#remember(id, key);
      return key;
    } catch (error) {
      if (known !== undefined && known.key !== null) return known.key;
      throw new CoppiceError('unavailable', "the token's key can't be looked up now", { cause: error });
    }
  }

  async #read(id: string): Promise<SigningKey | null> {
    const stored = await this.#bucket.get(id);
    if (stored === null) return null;
    const jwk = jsonOf(new TextDecoder().decode(stored.value)) as JWK | undefined;
    if (jwk?.kty !== 'OKP' || jwk.crv !== 'Ed25519' || (await calculateJwkThumbprint(jwk)) !== id) return null;
    return importJWK(jwk, keyAlgorithm);
  }

  #remember(id: string, key: SigningKey | null): void {
    const forMs = key === null ? tokenLimits.keyMissingMsMax : tokenLimits.keyKnownMsMax;
    this.#known.set(id, { key, untilMs: Date.now() + forMs });
  }

  async #publish(own: OwnKey): Promise<void> {
    const { id, publicKey } = await own.pair;
    const untilMs = Date.now() + tokenLimits.keyTtlMs;
    const value = new TextEncoder().encode(JSON.stringify(publicKey));
    const options = { ttlMs: tokenLimits.keyTtlMs };
    const stored = own.publishedUntilMs === 0 ? null : await this.#bucket.get(id);
    if (own.publishedUntilMs === 0) await this.#bucket.put(id, value, options);
    // Updates only the revision that was read, so that a concurrent revocation isn't undone.
    else if (stored !== null) await this.#bucket.update(id, value, stored.revision, options);
    else throw new CoppiceError('unavailable', 'the key that signs tokens was revoked');
    own.publishedUntilMs = untilMs;
  }

  /** Drops the current key if it was published but is no longer in the bucket, since it was then revoked. */
  async #retireCalledBack(): Promise<void> {
    const current = this.#current;
    if (current === null || current.publishedUntilMs === 0) return;
    const { id } = await current.pair;
    if ((await this.#bucket.get(id)) === null && this.#current === current) this.#current = null;
  }

  async #refresh(): Promise<void> {
    try {
      await this.#retireCalledBack();
      if (this.#current !== null) await this.#publish(this.#current);
    } catch (err) {
      this.#log.warn({ err }, 'the public key of tokens could not be published again; existing tokens stay valid');
    }
  }
}

const newKey = (): OwnKey => ({ pair: makePair(), publishedUntilMs: 0 });

async function makePair(): Promise<Pair> {
  const pair = await generateKeyPair(keyAlgorithm, { crv: 'Ed25519' });
  const { kty, crv, x } = await exportJWK(pair.publicKey);
  const publicKey = { kty, crv, x } as JWK;
  return { id: await calculateJwkThumbprint(publicKey), privateKey: pair.privateKey, publicKey };
}
