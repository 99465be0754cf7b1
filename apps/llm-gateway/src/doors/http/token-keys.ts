/**
 * The keys that tokens are signed with: no secret is shared. Each process makes a pair of its own, and publishes the public half in the bucket, where
 * only gateways write; the private one never leaves the process.
 *
 * Collaborators: the bucket `coppice-gateway-keys`, a key by its thumbprint; jose.
 *
 * Invariants:
 * 1. What a token is checked with was read from the bucket under the token's own key id, and has that thumbprint.
 * 2. A key is published before a token is signed with it, for longer than the token lives. So the tokens of a process that is gone are good until they expire.
 * 3. Who deletes a key from the bucket calls its tokens back, for good: a key that was published is never published anew, and its maker makes another.
 * 4. What is remembered of other keys is bounded, in number and time.
 */
import type { KeyValue } from '@coppice/bus';
import { CoppiceError } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK } from './jose.ts';
import type { JWK, SigningKey } from './jose.ts';
import { jsonOf } from '../../provider/http/json.ts';
import { tokenLimits } from './limits.ts';

export const keyAlgorithm = 'EdDSA';

/** A thumbprint (RFC 7638) with SHA-256. What has another form is no key's name, and isn't looked for. */
const keyIdPattern = /^[A-Za-z0-9_-]{43}$/;

type Known = { key: SigningKey | null; untilMs: number };
type OwnKey = { pair: Promise<Pair>; publishedUntilMs: number };
type Pair = { id: string; privateKey: SigningKey; publicKey: JWK };

export class TokenKeys {
  readonly #bucket: KeyValue;
  readonly #known = new Map<string, Known>();
  readonly #log = createLogger('llm-gateway');
  /** Made when the first token is asked for, and anew when it was called back. */
  #current: OwnKey | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(bucket: KeyValue) {
    this.#bucket = bucket;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** The key to sign with a token that lives until then. */
  async signingKey(expiresAtMs: number): Promise<{ id: string; key: SigningKey }> {
    this.#timer ??= setInterval(() => void this.#refresh(), tokenLimits.keyRefreshMs).unref();
    await this.#retireCalledBack();
    this.#current ??= newKey();
    const current = this.#current;
    const pair = await current.pair;
    if (expiresAtMs >= current.publishedUntilMs) await this.#publish(current);
    return { id: pair.id, key: pair.privateKey };
  }

  /** The key of this id. @throws CoppiceError `permission-denied` where there is none, `unavailable` where it can't be looked for. */
  async verificationKey(id: string | undefined): Promise<SigningKey> {
    const key = id !== undefined && keyIdPattern.test(id) ? await this.#find(id) : null;
    if (key === null) throw new CoppiceError('permission-denied', 'the token was signed with a key that is not known');
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
      throw new CoppiceError('unavailable', 'the key of the token can not be looked for now', { cause: error });
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
    this.#known.delete(id);
    if (this.#known.size >= tokenLimits.keysMax) {
      const [oldest = ''] = this.#known.keys();
      this.#known.delete(oldest);
    }
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
    // By its revision: what is called back just now stays so.
    else if (stored !== null) await this.#bucket.update(id, value, stored.revision, options);
    else throw new CoppiceError('unavailable', 'the key of tokens was called back');
    own.publishedUntilMs = untilMs;
  }

  /** A key that was published and is no longer there was called back: with all of its tokens, so it signs no more. */
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
      this.#log.warn({ err }, 'the public key of tokens could not be published again; no token outlives it');
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
