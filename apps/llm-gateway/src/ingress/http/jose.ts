/** The only module that imports jose. */
import type { importJWK } from 'jose';

export { SignJWT, calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, jwtVerify, errors } from 'jose';
export type { JWK } from 'jose';

export type SigningKey = Awaited<ReturnType<typeof importJWK>>;
