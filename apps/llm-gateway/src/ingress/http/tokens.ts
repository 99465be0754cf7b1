import { randomUUID } from 'node:crypto';
import { CoppiceError, tokenGrantSchema, tokenTtlMsMax } from '@coppice/contracts';
import type { TokenGrant } from '@coppice/contracts';
import { LRUCache } from 'lru-cache';
import { refusal } from './error-response.ts';
import { ownerLimitsSchema } from './owner-limits.ts';
import type { OwnerLimits } from './owner-limits.ts';
import { SignJWT, errors, jwtVerify } from './jose.ts';
import { tokenLimits } from './limits.ts';
import { keyAlgorithm } from './token-keys.ts';
import type { TokenKeys } from './token-keys.ts';

const issuer = 'coppice-llm-gateway';
const audience = 'coppice-llm-gateway';
/**
 * Type in a token's header. It distinguishes these tokens from other tokens that the same keys may sign in the future.
 */
const type = 'coppice-token+jwt';

/** Number of characters of a token's signature that serve as the token's cache key. */
const keyCharacters = 32;

/** `ownerLimits` isn't a part of the grant, since it doesn't come from the client that requests the token. */
type Claims = { grant: TokenGrant; ownerLimits: OwnerLimits };

export type Granted = TokenGrant & { ownerLimits: OwnerLimits; tokenId: string };

/**
 * Creates and verifies tokens. A token states its owner and what its client may do. Any gateway process can verify it.
 */
export class Tokens {
  readonly #keys: TokenKeys;
  /**
   * Cache of verified tokens, since verifying a signature takes longer than all other work before the request to the
   * provider.
   */
  readonly #verified = new LRUCache<string, { token: string; granted: Granted; untilMs: number }>({
    max: tokenLimits.verifiedMax,
  });

  constructor(keys: TokenKeys) {
    this.#keys = keys;
  }

  async mint(claims: Claims, ttlMs: number): Promise<{ token: string; expiresAt: string }> {
    const expiresAtSeconds = Math.floor((Date.now() + ttlMs) / 1_000);
    const { id, key } = await this.#keys.signingKey(expiresAtSeconds * 1_000 + tokenLimits.clockToleranceMs);
    const token = await new SignJWT(claims)
      .setProtectedHeader({ alg: keyAlgorithm, kid: id, typ: type })
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime(expiresAtSeconds)
      .setJti(randomUUID())
      .sign(key);
    return { token, expiresAt: new Date(expiresAtSeconds * 1_000).toISOString() };
  }

  /**
   * @throws CoppiceError with HTTP status 401 if the token isn't valid. The message states the reason but no part of
   * the token.
   * @throws CoppiceError `unavailable` if the token's key can't be looked up
   */
  async verify(token: string | null): Promise<Granted> {
    if (token === null) throw unauthorized('there is no token: "coppice token" makes one');
    if (token.length > tokenLimits.charactersMax) throw unauthorized('the token is too long');
    // The cache key is short, since hashing a whole token for every request would be slower.
    const cacheKey = token.slice(-keyCharacters);
    const known = this.#verified.get(cacheKey);
    if (known !== undefined && known.token === token && Date.now() < known.untilMs) return known.granted;
    const { granted, expiresAtMs } = await this.#check(token);
    this.#verified.set(cacheKey, {
      token,
      granted,
      untilMs: Math.min(expiresAtMs, Date.now() + tokenLimits.verifiedMsMax),
    });
    return granted;
  }

  async #check(token: string): Promise<{ granted: Granted; expiresAtMs: number }> {
    try {
      const { payload } = await jwtVerify(token, ({ kid }) => this.#keys.verificationKey(kid), {
        algorithms: [keyAlgorithm],
        issuer,
        audience,
        typ: type,
        requiredClaims: ['exp', 'iat', 'jti'],
        clockTolerance: tokenLimits.clockToleranceMs / 1_000,
        // Gateways never create a token with a longer lifetime. So an older token is invalid even if its stated expiry
        // isn't reached.
        maxTokenAge: tokenTtlMsMax / 1_000,
      });
      const grant = tokenGrantSchema.parse(payload['grant']);
      const ownerLimits = ownerLimitsSchema.parse(payload['ownerLimits']);
      const granted = { ...grant, ownerLimits, tokenId: payload.jti ?? '' };
      return { granted, expiresAtMs: (payload.exp ?? 0) * 1_000 };
    } catch (error) {
      if (error instanceof CoppiceError && error.code !== 'permission-denied') throw error;
      throw unauthorized(whyRefused(error));
    }
  }
}

const unauthorized = (message: string): CoppiceError => refusal('permission-denied', 401, message);

function whyRefused(error: unknown): string {
  if (error instanceof CoppiceError) return error.message;
  if (error instanceof errors.JWTExpired) return 'the token has expired';
  if (error instanceof errors.JWTClaimValidationFailed)
    return `the token is not one of this gateway's (${error.claim})`;
  if (error instanceof errors.JOSEAlgNotAllowed) return 'the token is signed in another way than this gateway signs';
  // The text may be a vendor's API key, so the message must not quote it.
  return 'the token is not valid: "coppice token" makes one that is';
}
