import { randomBytes } from 'node:crypto';
import { buckets } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import { z } from 'zod';
import type { Bus } from './bus.ts';
import { keyValueStream } from './resources.ts';

/**
 * Which processes are running: each has a key in KV `coppice-members` that lives 15 s unless refreshed, which happens every 5 s.
 *
 * Invariants:
 * 1. A member's id is never used again: a process that comes back is another member.
 * 2. A process whose key is gone is lost. One that is merely slow refreshes its key from a timer and stays.
 */
export type Membership = {
  /** One token: `<service>-<node>-<random>`. */
  id: string;
  isMember(id: string): Promise<boolean>;
  leave(): Promise<void>;
};

const memberSchema = z.object({ service: z.string(), node: z.string() });
export type Member = z.infer<typeof memberSchema>;

const log = createLogger('bus');

export async function joinMembers(bus: Bus, options: { service: string; node: string }): Promise<Membership> {
  const members = bus.keyValue(buckets.members);
  const id = `${options.service}-${options.node}-${randomBytes(6).toString('hex')}`;
  const value = new TextEncoder().encode(
    JSON.stringify({
      service: options.service,
      node: options.node,
      pid: process.pid,
      startedAt: new Date().toISOString(),
    }),
  );
  const refresh = () => members.put(id, value, { ttlMs: bus.lostAfterMs });
  await refresh();
  const timer = setInterval(() => {
    refresh().catch((error: unknown) => log.warn({ err: error }, 'membership not refreshed'));
  }, bus.lostAfterMs / 3);
  return {
    id,
    isMember: async (other) => (await members.get(other)) !== null,
    leave: async () => {
      clearInterval(timer);
      await members.delete(id);
    },
  };
}

/** Every process that is running now. */
export async function listMembers(bus: Bus): Promise<Member[]> {
  const members: Member[] = [];
  for await (const message of bus.browse(keyValueStream(buckets.members), `$KV.${buckets.members}.>`)) {
    // What is left of one that is gone.
    if ('KV-Operation' in message.headers || 'Nats-Marker-Reason' in message.headers) continue;
    members.push(memberSchema.parse(message.json()));
  }
  return members;
}
