/**
 * Meets a refusal, submits a run and follows it, cancels another: with the current client, `@nats-io/transport-node` and `@nats-io/jetstream`.
 *
 *     NATS_URL=nats://user:password@host:4222 COPPICE_TENANT=default node example.ts REPOSITORY MODEL
 */
import { randomUUID } from 'node:crypto';
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, nanos, TimeoutError } from '@nats-io/transport-node';

type Issue = { field: string; expected: string; received: string };
type WireError = { code: string; message: string; retryable: boolean; details?: { issues?: Issue[] } };
type Data = { name?: string; to?: string; state?: string; landedCommit?: string | null; reason?: string | null };
type Event = { id: string; type: string; data: Data };

/** Coppice's own refusal. */
class Refused extends Error {
  readonly error: WireError;
  constructor(error: WireError) {
    super(`${error.code}: ${error.message}`);
    this.error = error;
  }
}

const tenant = process.env['COPPICE_TENANT'] ?? 'default';
const [repository, model] = process.argv.slice(2);
const server = new URL(process.env['NATS_URL'] ?? 'nats://127.0.0.1:4222'); // The client reads no password from a URL.
const nats = await connect({
  servers: server.host,
  user: decodeURIComponent(server.username),
  pass: decodeURIComponent(server.password),
  inboxPrefix: `_INBOX_${tenant}`,
});

async function call<Output>(method: string, input: object): Promise<Output> {
  // Fails with a NoRespondersError as its cause when no service is up.
  const answer = await nats.request(`coppice.api.${tenant}.${method}`, JSON.stringify(input), { timeout: 30_000 });
  if (answer.headers?.has('Nats-Service-Error-Code')) throw new Refused(answer.json<{ error: WireError }>().error);
  return answer.json<Output>();
}

/** Each event of a run once, from its first, however late it is called and whatever was lost on the way. */
async function* follow(runId: string): AsyncGenerator<Event> {
  const seen = new Set<string>();
  const manager = await jetstreamManager(nats, { checkAPI: false });
  for (let last = 0; ;) {
    // Nothing new for a while, or something missing: read on after the last one.
    const added = manager.consumers.add('coppice-events', {
      name: `follow-${randomUUID()}`,
      filter_subject: `coppice.event.${tenant}.${runId}.>`,
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: last + 1,
      mem_storage: true,
      inactive_threshold: nanos(60_000),
    });
    const info = await added.catch((error) => (error instanceof TimeoutError ? null : Promise.reject(error)));
    if (info === null) continue; // The server was away; the client connects again by itself.
    const consumer = jetstream(nats, { checkAPI: false }).consumers.getConsumerFromInfo(info);
    for (let count = 1; ; count += 1) {
      // Whatever went wrong, the reading begins anew above; what lasts fails there.
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

/** Submits a run and prints its events; `cancelAt` names a task's state at which the run is cancelled. */
async function watch(request: object, cancelAt?: string): Promise<void> {
  const { runId } = await call<{ runId: string }>('run.submit', request);
  console.log(`submitted ${runId}`);
  for await (const { type, data } of follow(runId)) {
    const words = [type.replace('coppice.', ''), data.name, data.to ?? data.state, data.landedCommit, data.reason];
    console.log(words.filter(Boolean).join(' '));
    if (cancelAt !== undefined && data.to === cancelAt) await call('run.cancel', { runId });
  }
}

const request = (prompt: unknown) => ({
  requestId: `typescript-${randomUUID()}`, // Yours to choose: sent again, it is the same run.
  repository,
  baseBranch: 'main',
  tasks: [
    {
      name: 'notes',
      description: 'Write the notes',
      prompt,
      model,
      agent: { kind: 'prompt', file: 'typescript.md' },
      verify: 'test -s typescript.md',
    },
  ],
});

try {
  await call('run.submit', request(7));
} catch (refused) {
  if (!(refused instanceof Refused)) throw refused;
  console.log(`refused ${refused.error.code}`);
  for (const { field, expected, received } of refused.error.details?.issues ?? [])
    console.log(`  ${field}: expected ${expected}, received ${received}`);
}
await watch(request('Write short notes.'));
await watch(request('Write a long book.'), 'working');
await nats.close();
