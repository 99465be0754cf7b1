import { z } from 'zod';
import { buckets } from './subjects.ts';

const hourMs = 3_600_000;

/**
 * Names of the objects in `coppice-artifacts` and `coppice-bundles`, in the form `<kind>/<tenant>/…`.
 *
 * Invariant: the tenant in a name owns the object. The service that stores the object takes the tenant from its actor,
 * and the actor's tenant comes from the subject of a request. No text from a publisher, a model or an agent becomes
 * part of a name.
 */
export const artifactNames = {
  run: (tenant: string, runId: string, requestHash: string) => `run/${tenant}/${runId}/${requestHash}`,
  prompt: (tenant: string, runId: string, taskId: string) => `run/${tenant}/${runId}/prompt/${taskId}`,
  /** A text of a task. Its name contains the hash of its content. */
  text: ({ tenant, taskId }: { tenant: string; taskId: string }, hash: string) => `text/${tenant}/${taskId}/${hash}`,
  /**
   * The whole output of a command. The name contains a hash, so that two executors of the same effect can't write
   * different content under one name.
   */
  log: ({ tenant, taskId }: { tenant: string; taskId: string }, effectId: string, hash: string) =>
    `log/${tenant}/${taskId}/${effectId}/${hash}`,
  /**
   * A task's work as a git bundle. The name contains the hash of its content and the hour. A second request in the same
   * hour finds the bundle stored. A later request stores it again, so that no returned name expires soon.
   */
  bundle: ({ tenant, taskId }: { tenant: string; taskId: string }, hash: string, time: Date) =>
    `bundle/${tenant}/${taskId}/${hash}/${Math.floor(time.getTime() / hourMs)}`,
} as const;

const artifactPattern = /^[a-z]{1,20}\/[a-z0-9][a-z0-9-]{0,62}(\/[a-z0-9][a-z0-9_-]{0,250}){1,4}$/;

export const artifactNameSchema = z.string().regex(artifactPattern, 'the name of an artifact, as a message has it');

/** Returns the tenant that owns an artifact, or null if the name isn't an artifact's name. */
export const tenantOfArtifact = (name: string): string | null =>
  artifactPattern.test(name) ? (name.split('/')[1] ?? null) : null;

export const bucketOfArtifact = (name: string): string =>
  name.startsWith('bundle/') ? buckets.bundles : buckets.artifacts;

/** Maximum number of bytes in one answer. As base64 in JSON they are far below the 1 MiB of a message. */
export const artifactPartBytesMax = 256 * 1024;
