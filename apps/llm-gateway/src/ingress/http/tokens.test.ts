import { generateKeyPairSync } from 'node:crypto';
import { Bus } from '@coppice/bus';
import { CoppiceError, buckets } from '@coppice/contracts';
import type { TokenGrant } from '@coppice/contracts';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { SignJWT, calculateJwkThumbprint, exportJWK } from './jose.ts';
import { TokenKeys } from './token-keys.ts';
import { Tokens } from './tokens.ts';

let nats: NatsServer;
let bus: Bus;
beforeAll(async () => {
  nats = await startNatsServer();
  bus = await Bus.connect({ ...nats.connection, name: 'test' });
  await bus.ensureResources();
});
afterAll(async () => {
  await bus.close();
  await nats.stop();
});

const bucket = () => bus.keyValue(buckets.gatewayKeys);
const grant: TokenGrant = {
  tenant: 'default',
  runId: 'raaaaaaaaaaaaaaaa',
  taskId: 'taaaaaaaaaaaaaaaa',
  models: ['acme/one'],
};
const ownerLimits = { task: { tokens: 500 }, run: {} };
const claims = { grant, ownerLimits };
const minuteMs = 60_000;

/** Returns the message of the rejection; null if the token is accepted. */
async function whyRefused(tokens: Tokens, token: string | null): Promise<string | null> {
  try {
    await tokens.verify(token);
    return null;
  } catch (error) {
    if (!(error instanceof CoppiceError) || error.details?.['httpStatus'] !== 401) throw error;
    return token === null ? error.message : error.message.replaceAll(token, 'IT HOLDS THE TOKEN');
  }
}

test('a token of one process is valid at another, and stays valid after the first has ended', async () => {
  const maker = new TokenKeys(bucket());
  const { token, expiresAt } = await new Tokens(maker).mint(claims, minuteMs);
  expect(Date.parse(expiresAt)).toBeGreaterThan(Date.now());
  maker.stop();
  const other = new TokenKeys(bucket());
  expect(await new Tokens(other).verify(token)).toMatchObject({ ...grant, ownerLimits });
  other.stop();
});

test('a token that ends like a valid one is not mistaken for it', async () => {
  const keys = new TokenKeys(bucket());
  const tokens = new Tokens(keys);
  const { token } = await tokens.mint(claims, minuteMs);
  await tokens.verify(token);
  const [header = '', , signature = ''] = token.split('.');
  const greedy = Buffer.from(JSON.stringify({ ...claims, grant: { ...grant, tenant: 'other' } })).toString('base64url');
  expect(await whyRefused(tokens, [header, greedy, signature].join('.'))).toContain('the token is not');
  expect(await whyRefused(tokens, signature)).toContain('the token is not');
  expect(await tokens.verify(token)).toMatchObject(grant);
  keys.stop();
});

test('the published key contains no secret', async () => {
  const keys = new TokenKeys(bucket());
  const { id } = await keys.signingKey(0);
  const stored = await bucket().get(id);
  expect(Object.keys(JSON.parse(new TextDecoder().decode(stored?.value)) as object)).toEqual(['kty', 'crv', 'x']);
  keys.stop();
});

test('a token becomes invalid once its key was deleted and the caches have expired', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  const maker = new TokenKeys(bucket());
  const reader = new TokenKeys(bucket());
  const { token } = await new Tokens(maker).mint(claims, 60 * minuteMs);
  const tokens = new Tokens(reader);
  expect(await whyRefused(tokens, token)).toBeNull();
  await bucket().delete((await maker.signingKey(0)).id);
  vi.setSystemTime(Date.now() + 10 * minuteMs);
  expect(await whyRefused(tokens, token)).toBe('the token was signed with an unknown key');
  maker.stop();
  reader.stop();
  vi.useRealTimers();
});

test('a revoked token stays invalid, and its process signs the next token with another key', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const maker = new TokenKeys(bucket());
  const own = new Tokens(maker);
  const { token } = await own.mint(claims, 60 * minuteMs);
  const { id } = await maker.signingKey(0);
  await bucket().delete(id);
  vi.advanceTimersByTime(60 * minuteMs);
  vi.useRealTimers();
  const next = await own.mint(claims, 60 * minuteMs);
  expect(await bucket().get(id)).toBeNull();
  const reader = new TokenKeys(bucket());
  expect(await whyRefused(new Tokens(reader), token)).toBe('the token was signed with an unknown key');
  expect(await whyRefused(new Tokens(reader), next.token)).toBeNull();
  maker.stop();
  reader.stop();
});

describe('a token is rejected', () => {
  let keys: TokenKeys;
  let tokens: Tokens;
  let own: Awaited<ReturnType<TokenKeys['signingKey']>>;
  beforeAll(async () => {
    keys = new TokenKeys(bucket());
    tokens = new Tokens(keys);
    own = await keys.signingKey(0);
  });
  afterAll(() => keys.stop());

  const header = () => ({ alg: 'EdDSA', kid: own.id, typ: 'coppice-token+jwt' });
  /** Returns a token signed with the real key and changed by `change`. */
  async function forged(change: (token: SignJWT) => SignJWT, protectedHeader: object = header()): Promise<string> {
    const proper = new SignJWT(claims)
      .setProtectedHeader(protectedHeader as { alg: string })
      .setIssuer('coppice-llm-gateway')
      .setAudience('coppice-llm-gateway')
      .setIssuedAt()
      .setExpirationTime('5m')
      .setJti('1');
    return change(proper).sign(own.key);
  }
  const notValid = 'the token is not valid: "coppice token" makes one that is';
  const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

  test('not if it is signed correctly with this key', async () => {
    expect(await whyRefused(tokens, await forged((token) => token))).toBeNull();
  });

  test('if it is missing, malformed or too long', async () => {
    expect(await whyRefused(tokens, null)).toContain('there is no token');
    expect(await whyRefused(tokens, 'sk-ant-something')).toBe(notValid);
    expect(await whyRefused(tokens, 'a'.repeat(10_000))).toBe('the token is too long');
  });

  test('if it has no signature, or another algorithm', async () => {
    const token = await forged((each) => each);
    const [, payload = ''] = token.split('.');
    const none = `${encoded({ ...header(), alg: 'none' })}.${payload}.`;
    expect(await whyRefused(tokens, none)).not.toBeNull();
    const stored = await bucket().get(own.id);
    const publicKey = stored?.value ?? new Uint8Array();
    const withPublicKey = await new SignJWT(claims)
      .setProtectedHeader({ ...header(), alg: 'HS256' })
      .setIssuer('coppice-llm-gateway')
      .setAudience('coppice-llm-gateway')
      .setIssuedAt()
      .setExpirationTime('5m')
      .setJti('1')
      .sign(publicKey);
    expect(await whyRefused(tokens, withPublicKey)).toBe('the token is signed in another way than this gateway signs');
  });

  test('if it was changed', async () => {
    const [head, , signature] = (await forged((each) => each)).split('.');
    const payload = encoded({ ...claims, grant: { ...grant, tenant: 'other' }, exp: 9_999_999_999 });
    expect(await whyRefused(tokens, `${head}.${payload}.${signature}`)).toBe(notValid);
  });

  test("if it is signed with an unpublished key, whatever the key's id", async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const kid = await calculateJwkThumbprint(await exportJWK(publicKey));
    const sign = (name: string) =>
      new SignJWT(claims)
        .setProtectedHeader({ ...header(), kid: name, jwk: publicKey.export({ format: 'jwk' }) })
        .setIssuer('coppice-llm-gateway')
        .setAudience('coppice-llm-gateway')
        .setIssuedAt()
        .setExpirationTime('5m')
        .setJti('1')
        .sign(privateKey);
    expect(await whyRefused(tokens, await sign(kid))).toBe('the token was signed with an unknown key');
    expect(await whyRefused(tokens, await sign(own.id))).toBe(notValid);
    for (const name of ['', '>', '*', '../x', `${own.id}.x`])
      expect(await whyRefused(tokens, await sign(name))).toBe('the token was signed with an unknown key');
  });

  test('if its key is in the bucket under an id other than its thumbprint', async () => {
    const { publicKey } = generateKeyPairSync('ed25519');
    const name = 'x'.repeat(43);
    await bucket().put(name, new TextEncoder().encode(JSON.stringify(publicKey.export({ format: 'jwk' }))));
    const token = await forged((each) => each, { ...header(), kid: name });
    expect(await whyRefused(tokens, token)).toBe('the token was signed with an unknown key');
  });

  test('if it has expired, has another audience, issuer or type, or is older than the longest lifetime', async () => {
    expect(await whyRefused(tokens, await forged((token) => token.setExpirationTime('-1m')))).toBe(
      'the token has expired',
    );
    for (const change of [
      (token: SignJWT) => token.setAudience('someone-else'),
      (token: SignJWT) => token.setIssuer('someone-else'),
    ])
      expect(await whyRefused(tokens, await forged(change))).toContain("not one of this gateway's");
    expect(await whyRefused(tokens, await forged((token) => token, { ...header(), typ: 'JWT' }))).not.toBeNull();
    const old = await forged((token) => token.setIssuedAt('-2d').setExpirationTime('365d'));
    expect(await whyRefused(tokens, old)).not.toBeNull();
  });

  test('if its grant is invalid, or it has no limits of its task', async () => {
    const { tenant: _tenant, ...rest } = grant;
    for (const wrong of [{ grant: rest, ownerLimits }, { grant }, { grant: { ...grant, ownerLimits } }]) {
      const token = await new SignJWT(wrong)
        .setProtectedHeader(header())
        .setIssuer('coppice-llm-gateway')
        .setAudience('coppice-llm-gateway')
        .setIssuedAt()
        .setExpirationTime('5m')
        .setJti('1')
        .sign(own.key);
      expect(await whyRefused(tokens, token)).toBe(notValid);
    }
  });
});
