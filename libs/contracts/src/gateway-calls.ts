import { z } from 'zod';
import type { Method } from './api.ts';
import { runIdSchema, taskIdSchema, tenantSchema } from './identifiers.ts';
import { modelLimitsSchema, runLimits } from './run-request.ts';

/** A model provider of the gateway, as shown to users. It contains no key, and no path of an address. */
export const modelProviderSchema = z.object({
  /** The part of `provider/model` before the slash. */
  name: z.string(),
  /** Host and port. Null if the provider needs no network. */
  host: z.string().nullable(),
  keyPresent: z.boolean(),
  /** Null if this wasn't checked, since the provider needs no network or has no key. */
  reachable: z.boolean().nullable(),
  /** Some of its models, as `provider/model`. */
  models: z.array(z.string()),
  /** Why the provider can't be used, in one sentence. Null if no problem is known. */
  problem: z.string().nullable(),
  /**
   * For the provider `scripted`, the folders of the gateway's machine whose scripts it plays. Missing if it plays a
   * script from any folder, by absolute path.
   */
  scriptFolders: z.array(z.string()).optional(),
});
export type ModelProvider = z.infer<typeof modelProviderSchema>;

/**
 * The rights that a token gives for the gateway's HTTP endpoints, and the tenant, run and task that its calls are
 * charged to.
 */
export const tokenGrantSchema = z.object({
  tenant: tenantSchema,
  /** `runId` and `taskId` are both empty for calls outside tasks. */
  runId: z.union([runIdSchema, z.literal('')]),
  taskId: z.union([taskIdSchema, z.literal('')]),
  /** Allowed models, as `provider/model` or an alias. If missing, all models are allowed. */
  models: z.array(z.string().min(1).max(255)).min(1).max(64).optional(),
  /** Limits for all calls with the token together. The limits of the token's task and run apply too. */
  limits: modelLimitsSchema.optional(),
});
export type TokenGrant = z.infer<typeof tokenGrantSchema>;

/** Maximum lifetime of a token. A task takes at most a day. */
export const tokenTtlMsMax = 25 * 3_600_000;

const amountSchema = z.object({ tokens: z.int().nonnegative(), costUsd: z.number().nonnegative() });

/** Calls to the gateway, `coppice.call.llm-gateway.<name>`. */
export const gatewayCalls = {
  providers: {
    name: 'providers',
    description:
      'The model providers that can be named, and whether each answers; the aliases; and how the gateway that answers is set up.',
    input: z.object({}),
    output: z.object({
      providers: z.array(modelProviderSchema),
      aliases: z
        .array(z.object({ name: z.string(), candidates: z.array(z.string()), strategy: z.string() }))
        .default([]),
      /**
       * Addresses of the gateway that answers, as base URLs or `unix:PATH`. Empty if its HTTP endpoints are off.
       * Earlier versions send neither this field nor `file`.
       */
      httpAddresses: z.array(z.string()).optional(),
      /** The gateway's configuration file, and the SHA-256 of its text at startup. Null if the gateway has no file. */
      file: z.object({ path: z.string(), sha256: z.string() }).nullable().optional(),
    }),
    deadlineMs: 10_000,
  },
  checkModels: {
    name: 'check-models',
    description: 'Which models a turn would surely fail with. Asks no provider, and costs nothing.',
    input: z.object({ models: z.array(z.string().min(1).max(255)).max(runLimits.tasksMax) }),
    output: z.object({ problems: z.array(z.object({ model: z.string(), problem: z.string() })) }),
    deadlineMs: 3_000,
  },
  mintToken: {
    name: 'mint-token',
    description:
      'A token for the HTTP endpoints of all gateways, for a task, a run or a person. What the run file lets its task and run use of models binds it.',
    input: z.object({ grant: tokenGrantSchema, ttlMs: z.int().min(1_000).max(tokenTtlMsMax) }),
    output: z.object({
      token: z.string(),
      /** RFC 3339. */
      expiresAt: z.string(),
      /** Addresses of this gateway, as base URLs or `unix:PATH`. Empty if its HTTP endpoints are off. */
      addresses: z.array(z.string()),
    }),
    deadlineMs: 5_000,
  },
  budgets: {
    name: 'budgets',
    description: 'What is used of the budgets that bind calls of a tenant, a run or a task.',
    input: z.object({
      owner: tokenGrantSchema.pick({ tenant: true, runId: true, taskId: true }),
      /** Limits from the run file. Without a task, `task` is empty. */
      limits: z.object({ task: modelLimitsSchema, run: modelLimitsSchema }).optional(),
    }),
    output: z.object({
      budgets: z.array(
        z.object({
          /** Owner and period, such as `tenant acme in 2026-11`. */
          name: z.string(),
          limit: modelLimitsSchema,
          /** Charges that the gateways have reported. Each gateway reports every second. */
          used: amountSchema,
          /** Maximum amount that the calls in flight may use. */
          reserved: amountSchema,
        }),
      ),
    }),
    deadlineMs: 5_000,
  },
} as const satisfies Record<string, Method>;
