import { z } from 'zod';
import type { Method } from './api.ts';
import { runIdSchema, taskIdSchema, tenantSchema } from './identifiers.ts';
import { modelLimitsSchema, runLimits } from './run-request.ts';

/** A model provider that the gateway knows, for a person who looks what can be used. Never holds a key, nor an address with its path. */
export const modelProviderSchema = z.object({
  /** The part of `provider/model` before the slash. */
  name: z.string(),
  /** Host and port; null for one that needs no network. */
  host: z.string().nullable(),
  keyPresent: z.boolean(),
  /** Null where it wasn't tried: it needs no network, or a key that isn't there. */
  reachable: z.boolean().nullable(),
  /** Names of some of its models, as `provider/model`. */
  models: z.array(z.string()),
  /** Why it can't be used, in one sentence; null where nothing is known to be wrong. */
  problem: z.string().nullable(),
  /** Of `scripted`: the folders on the gateway's machine whose scripts it plays; missing where it plays any, by its absolute path. */
  scriptFolders: z.array(z.string()).optional(),
});
export type ModelProvider = z.infer<typeof modelProviderSchema>;

/** What a program may ask the gateway's HTTP doors, and on whose account. */
export const tokenGrantSchema = z.object({
  tenant: tenantSchema,
  /** Both empty for calls beside all tasks. */
  runId: z.union([runIdSchema, z.literal('')]),
  taskId: z.union([taskIdSchema, z.literal('')]),
  /** Models as `provider/model` or an alias; all where it is missing. */
  models: z.array(z.string().min(1).max(255)).min(1).max(64).optional(),
  /** What all calls with the token together may use, beside what its task and run may. */
  limits: modelLimitsSchema.optional(),
});
export type TokenGrant = z.infer<typeof tokenGrantSchema>;

/** A task lasts a day at most. */
export const tokenTtlMsMax = 25 * 3_600_000;

const amountSchema = z.object({ tokens: z.int().nonnegative(), costUsd: z.number().nonnegative() });

/** Answered by the gateway itself, `coppice.call.llm-gateway.<name>`. */
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
      /** Where the one that answers listens, as base URLs or `unix:PATH`; none where its HTTP doors are off. Earlier versions don't tell it, nor `file`. */
      httpAddresses: z.array(z.string()).optional(),
      /** The file that it read when it started, and the SHA-256 of its text then; null where there is none. */
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
      'A token for the HTTP doors of all gateways, for a task, a run or a person. What the run file lets its task and run use of models binds it.',
    input: z.object({ grant: tokenGrantSchema, ttlMs: z.int().min(1_000).max(tokenTtlMsMax) }),
    output: z.object({
      token: z.string(),
      /** RFC 3339. */
      expiresAt: z.string(),
      /** Where this gateway listens, as base URLs or `unix:PATH`; none where its HTTP doors are off. */
      addresses: z.array(z.string()),
    }),
    deadlineMs: 5_000,
  },
  budgets: {
    name: 'budgets',
    description: 'What is used of the budgets that bind calls of a tenant, a run or a task.',
    input: z.object({
      owner: tokenGrantSchema.pick({ tenant: true, runId: true, taskId: true }),
      /** Of its run file; those of a run without a task have none for it. */
      limits: z.object({ task: modelLimitsSchema, run: modelLimitsSchema }).optional(),
    }),
    output: z.object({
      budgets: z.array(
        z.object({
          /** Whose it is, and since when: `tenant acme in 2026-11`. */
          name: z.string(),
          limit: modelLimitsSchema,
          /** Told by the gateways each second. */
          used: amountSchema,
          /** What calls in flight may use at most. */
          reserved: amountSchema,
        }),
      ),
    }),
    deadlineMs: 5_000,
  },
} as const satisfies Record<string, Method>;
