import { z } from 'zod';
import { buckets } from './subjects.ts';

const hourMs = 3_600_000;

/**
 * Names of the objects in `coppice-artifacts` and `coppice-bundles`: `<kind>/<tenant>/…`.
 *
 * Invariant: the tenant in a name is whose object it is. A name is made by the service that stores the object, from the tenant of the actor that it works
 * for, which comes from the subject of a request; no text of a publisher, a model or an agent becomes a part of it.
 */
export const artifactNames = {
  /** What a run was made from. */
  run: (tenant: string, runId: string, requestHash: string) => `run/${tenant}/${runId}/${requestHash}`,
  /** A task's prompt. */
  prompt: (tenant: string, runId: string, taskId: string) => `run/${tenant}/${runId}/prompt/${taskId}`,
  /** A text of a task, named by its content. */
  text: ({ tenant, taskId }: { tenant: string; taskId: string }, hash: string) => `text/${tenant}/${taskId}/${hash}`,
  /** Everything that a command printed. Named by its content, too: of two that do the same effect none takes the other's name. */
  log: ({ tenant, taskId }: { tenant: string; taskId: string }, effectId: string, hash: string) =>
    `log/${tenant}/${taskId}/${effectId}/${hash}`,
  /**
   * A task's work as a git bundle, named by its content and the hour: asked for again within it, it is stored already, and no name is found that is about
   * to go for its age.
   */
  bundle: ({ tenant, taskId }: { tenant: string; taskId: string }, hash: string, time: Date) =>
    `bundle/${tenant}/${taskId}/${hash}/${Math.floor(time.getTime() / hourMs)}`,
} as const;

const artifactPattern = /^[a-z]{1,20}\/[a-z0-9][a-z0-9-]{0,62}(\/[a-z0-9][a-z0-9_-]{0,250}){1,4}$/;

export const artifactNameSchema = z.string().regex(artifactPattern, 'the name of an artifact, as a message has it');

/** Whose it is; null for what is no name of an artifact. */
export const tenantOfArtifact = (name: string): string | null =>
  artifactPattern.test(name) ? (name.split('/')[1] ?? null) : null;

/** Where the artifact of a name lies. */
export const bucketOfArtifact = (name: string): string =>
  name.startsWith('bundle/') ? buckets.bundles : buckets.artifacts;

/** Of one answer: as base64 with what stands around it, it is far below a message's limit of 1 MiB. */
export const artifactPartBytesMax = 256 * 1024;
