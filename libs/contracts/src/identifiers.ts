import { createHash } from 'node:crypto';
import { z } from 'zod';

/**
 * One token of a subject or key. Effect ids join tokens with underscores, so a token contains none. It also contains no
 * character that is special in NATS, git refs or file systems.
 */
const tokenPattern = /^[a-z0-9][a-z0-9-]{0,62}$/;
export const tokenSchema = z
  .string()
  .regex(tokenPattern, 'lower-case letters, digits and dashes, at most 63, not starting with a dash');

export const tenantSchema = z
  .string()
  .regex(tokenPattern, 'a tenant: lower-case letters, digits and dashes, at most 63');
export const runIdSchema = z
  .string()
  .regex(/^r[a-z2-7]{16}$/, 'a run id: r and 16 characters of a-z2-7')
  .describe('The id of a run.');
export const taskIdSchema = z
  .string()
  .regex(/^t[a-z2-7]{16}$/, 'a task id: t and 16 characters of a-z2-7')
  .describe('The id of a task.');
/**
 * `<actor kind>_<actor id, dots as underscores>_<incarnation>_<counter>`. It is one token, and valid in a subject, a KV
 * key and a git ref.
 */
export const effectIdSchema = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,250}$/, 'an effect id');
/** The id of an actor. It consists of one or more tokens, joined by dots. */
export const actorIdSchema = z.string().regex(/^[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*){0,5}$/, 'an actor id');

const base32 = 'abcdefghijklmnopqrstuvwxyz234567';

/**
 * Returns 80 bits of a SHA-256 over the parts, as 16 base32 characters. The length of each part is hashed too, so that
 * `['ab', 'c']` and `['a', 'bc']` differ.
 */
export function shortHash(...parts: string[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:`).update(part);
  const bytes = hash.digest();
  let out = '';
  for (let index = 0; index < 16; index++) {
    const bit = index * 5;
    const pair = ((bytes[bit >> 3] ?? 0) << 8) | (bytes[(bit >> 3) + 1] ?? 0);
    out += base32[(pair >> (11 - (bit & 7))) & 31];
  }
  return out;
}

/** Returns the id of the run for a tenant's request. The same request id always gives the same run id. */
export const runIdOf = (tenant: string, requestId: string): string => `r${shortHash('run', tenant, requestId)}`;
export const taskIdOf = (runId: string, taskName: string): string => `t${shortHash('task', runId, taskName)}`;

/**
 * Converts a line of text to a readable part of a name. The result has at most `charactersMax` of a-z, 0-9 and dashes,
 * and is `task` if nothing remains. Letters lose their accents. Each sequence of other characters becomes a dash.
 */
export function slug(text: string, charactersMax: number): string {
  const name = text
    .normalize('NFKD')
    .replaceAll(/\p{Mn}/gu, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/^-/, '')
    .slice(0, charactersMax)
    .replace(/-$/, '');
  return name === '' ? 'task' : name;
}

/** Returns a task's `provider/model` for display. The name of a script is shown without its folder. */
export function shownModel(model: string): string {
  // An alias has no slash.
  if (!model.includes('/')) return model;
  const provider = model.split('/')[0] ?? '';
  const name = model.includes('//') ? (model.split('/').at(-1) ?? '') : model.slice(provider.length + 1);
  return `${provider}/${name}`;
}
