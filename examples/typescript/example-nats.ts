/**
 * Calls Coppice and follows a run with the older client, `nats` 2.x. The calls are in story.ts.
 *
 *     NATS_URL=nats://host:4222 NATS_NKEY=tenant-acme.nk COPPICE_TENANT=acme node example-nats.ts REPOSITORY MODEL
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { AckPolicy, connect, DeliverPolicy, nanos, nkeyAuthenticator, usernamePasswordAuthenticator } from 'nats';
import type { NatsError } from 'nats';
import { play } from './story.ts';
import type { Answer, Event } from './story.ts';

const tenant = process.env['COPPICE_TENANT'] ?? 'default';
const { host, username, password } = new URL(process.env['NATS_URL'] ?? 'nats://127.0.0.1:4222');
const key = process.env['NATS_NKEY'];
const nats = await connect({
  servers: host,
  authenticator:
    key === undefined // The client ignores a user and password in a URL.
      ? usernamePasswordAuthenticator(decodeURIComponent(username), decodeURIComponent(password))
      : nkeyAuthenticator(Buffer.from(readFileSync(key, 'utf8').trim())),
  inboxPrefix: `_INBOX_${tenant}`,
});

/** Fails with code 503 if no service is running. */
async function call(method: string, input: object): Promise<Answer> {
  const answer = await nats.request(`coppice.api.${tenant}.${method}`, JSON.stringify(input), { timeout: 30_000 });
  return answer.json<Answer>();
}

/** Yields all events of a run, also earlier ones, each once. Continues after errors, so no event is lost. */
async function* follow(runId: string): AsyncGenerator<Event> {
  const seen = new Set<string>();
  const manager = await nats.jetstreamManager({ checkAPI: false });
  for (let last = 0; ;) {
    // Without a new message, or after a lost one, a new consumer starts after the last event.
    const added = manager.consumers.add('coppice-events', {
      name: `follow-${randomUUID()}`,
      filter_subject: `coppice.event.${tenant}.${runId}.>`,
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: last + 1,
      mem_storage: true,
      inactive_threshold: nanos(60_000),
    });
    const info = await added.catch((error: NatsError) => (error.code === 'TIMEOUT' ? null : Promise.reject(error)));
    if (info === null) continue; // The server is unreachable. The client reconnects by itself.
    const consumer = nats.jetstream().consumers.getPullConsumerFor(info);
    for (let count = 1; ; count += 1) {
      // After an error, the outer loop creates a new consumer. If the error lasts, that fails.
      const message = await consumer.next({ expires: 10_000 }).catch(() => null);
      if (message?.info.deliverySequence !== count) break;
      last = message.info.streamSequence;
      const event = message.json<Event>();
      if (!seen.has(event.id)) yield event;
      seen.add(event.id);
      if (event.type === 'coppice.run-ended') return;
    }
  }
}

await play({ call, follow }, 'nats-package.md');
await nats.close();
