import { durationMs, durationSchema, modelLimitsSchema, tenantSchema, vendors } from '@coppice/contracts';
import type { VendorRegistry } from '@coppice/contracts';
import { z } from 'zod';
import { cacheLimits } from '../cache/limits.ts';
import { exchangeLimits } from '../routing/limits.ts';
import { wireNames } from '../wires/registry.ts';

/** Schema of the file that COPPICE_GATEWAY_CONFIG names. deploy/gateway.example.yaml shows all fields. */

/**
 * Returns a pattern for the names of variables that may contain a key. The embedded stack passes these variables only
 * to the gateway.
 */
export function keyVariablePattern(registry: VendorRegistry): RegExp {
  const prefixes = Object.values(registry).flatMap((vendor) => vendor.prefixes);
  return new RegExp(`^(${['COPPICE_GATEWAY_KEY_', 'COPPICE_OPENAI_KEY_', ...prefixes].join('|')})[A-Z0-9_]*$`);
}
const keyVariable = keyVariablePattern(vendors);
const [keyExample] = vendors.openai.key.variables;
/** Matches headers that contain a key. It must match the key headers of every wire format. */
export const keyHeader = /^(authorization|proxy-authorization|cookie|x-api-key|api-key|x-goog-api-key)$/i;

const providerName = z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'a name of a-z, 0-9 and -, at most 32');
const aliasName = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'a name of a-z, 0-9 and -, at most 64');
const candidate = z
  .string()
  .max(255)
  .regex(/^[a-z][a-z0-9-]*\/.+$/, 'provider/model');
const dollars = z.number().nonnegative();
const duration = durationSchema.transform(durationMs);
const keptFor = duration.refine(
  (ms) => ms >= cacheLimits.ttlMsMin && ms <= cacheLimits.ttlMsMax,
  'a duration between 1s and 30d',
);

const addressExpected = 'an address such as http://127.0.0.1:11434/v1, without user or password';
const address = z.string().refine((text) => {
  const url = URL.canParse(text) ? new URL(text) : null;
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
}, addressExpected);

const key = z
  .strictObject({
    variable: z
      .string()
      .regex(keyVariable, `the name of a variable: COPPICE_GATEWAY_KEY_…, or a vendor's own such as ${keyExample}`)
      .optional(),
    file: z.string().min(1).optional(),
  })
  .refine(({ variable, file }) => (variable === undefined) !== (file === undefined), 'one of variable and file');

const headers = z
  .record(
    z
      .string()
      .regex(/^[a-zA-Z0-9-]{1,64}$/, 'a name of letters, digits and -')
      .refine((name) => !keyHeader.test(name), 'no header that holds a key: that is what `key` is for'),
    z.string().regex(/^[\t\x20-\x7e]{0,1024}$/, 'one line of printable characters'),
  )
  .default({});

export const gatewayFileSchema = z.strictObject({
  /**
   * Providers by name. An omitted `wire` or `baseUrl` is taken from the environment's provider of the same name. An
   * omitted `key` is, too, if the address is the same.
   */
  providers: z
    .record(
      providerName,
      z.strictObject({
        wire: z.enum(wireNames, `one of ${wireNames.join(', ')}`).optional(),
        baseUrl: address.optional(),
        key: key.optional(),
        headers,
        concurrency: z.int().min(1).max(10_000).optional(),
      }),
    )
    .default({}),
  aliases: z
    .record(
      aliasName,
      z.strictObject({
        candidates: z.array(candidate).min(1).max(exchangeLimits.candidatesMax),
        strategy: z.enum(['order', 'price'], 'one of order, price').default('order'),
      }),
    )
    .default({}),
  /** Prices in US dollars per million tokens. */
  prices: z
    .array(
      z.strictObject({
        model: z.string().max(255).regex(/\//, 'provider/model, where * stands for any text'),
        input: dollars,
        output: dollars,
        cachedInput: dollars.optional(),
        cacheWriteInput: dollars.optional(),
        cacheWriteHourInput: dollars.optional(),
        audioInput: dollars.optional(),
      }),
    )
    .max(1_000)
    .default([]),
  /** Settings of the answer cache. If omitted, no answer is cached. */
  cache: z
    .strictObject({
      ttl: keptFor,
      entryBytes: z
        .int()
        .min(cacheLimits.entryBytesMin)
        .max(cacheLimits.entryBytesMax)
        .default(cacheLimits.entryBytesMax),
    })
    .optional(),
  limits: z
    .strictObject({
      /** Maximum time from the request to the first event of the answer. */
      firstToken: duration.optional(),
      /** Maximum time between two events. */
      idle: duration.optional(),
      /** Maximum time from the request to the end of the answer. */
      total: duration.optional(),
      /** Maximum number of requests to one candidate for one call. */
      attempts: z.int().min(1).max(20).optional(),
      /** Limits on model usage by tenant. The entry `*` limits each tenant without an entry of its own. */
      tenants: z
        .record(
          z.union([tenantSchema, z.literal('*')]),
          modelLimitsSchema
            .extend({ per: z.enum(['day', 'month', 'ever'], 'one of day, month, ever') })
            .refine(({ tokens, costUsd }) => (tokens ?? costUsd) !== undefined, 'an amount: tokens, costUsd or both'),
        )
        .default({}),
    })
    .prefault({}),
});
export type GatewayFile = z.output<typeof gatewayFileSchema>;
