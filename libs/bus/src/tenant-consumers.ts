/**
 * Makes the consumers by which tenants read what is theirs. A tenant's request to JetStream for a consumer comes here, and not to the server: the
 * server would take from its body what no permission sees, such as any subject at all that messages are to be delivered to.
 *
 * Collaborators: the accounts of the bus (users/server-configuration.ts), which lead such requests here under a subject that names the tenant; JetStream.
 *
 * Invariants:
 * 1. A consumer is pulled from, keeps nothing on the disk, waits for no acknowledgement, sees its tenant's subjects alone, and is gone some minutes after its last use.
 * 2. A tenant has so many at once and no more, in each process that makes them, and leaves room on the stream for the services and for others.
 * 3. A name that is taken is given no other filter.
 */
import { consumerRequestSchema, streams, tenantFamilies } from '@coppice/contracts';
import type { ConsumerRequest } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';
import type { Service } from './serve.ts';
import { requireSmallJson } from './json-size.ts';
import { busLimits } from './limits.ts';
import { JetStreamApiError } from './nats.ts';
import type { JetStreamManager, Msg, NatsConnection } from './nats.ts';
import { parseJson, validate } from './validate.ts';

const prefix = 'coppice.consumer';

/** What a tenant may read, and by which filter at most. */
export const tenantStreams = (tenant: string): { stream: string; filter: string }[] => {
  const { event, transcript, log } = tenantFamilies(tenant);
  return [
    { stream: streams.events, filter: event },
    { stream: streams.transcripts, filter: transcript },
    { stream: streams.logs, filter: log },
  ];
};

/** Where a tenant's request for a consumer arrives: its name stands for `*`, its filter is `filter` or one that this matches. */
export const tenantConsumerSubject = (tenant: string, { stream, filter }: { stream: string; filter: string }): string =>
  `${prefix}.${tenant}.${stream}.*.${filter}`;

/** What whoever makes them subscribes to. */
export const tenantConsumerSubjects = `${prefix}.>`;

const nanosecondsPerMs = 1_000_000;
type Wanted = { tenant: string; stream: string; name: string; filter: string };

/** As the server's own, which clients know: the HTTP-like status and its number for the kind of error. */
class Refused extends Error {
  readonly error: { code: number; err_code: number; description: string };

  constructor(code: number, number: number, description: string) {
    super(description);
    this.error = { code, err_code: number, description };
  }
}
const badRequest = (description: string) => new Refused(400, 10_003, description);
const tooMany = (description: string) => new Refused(400, 10_026, `maximum consumers limit reached: ${description}`);
const unavailable = (description: string) => new Refused(503, 10_008, description);

const log = createLogger('bus');

export async function makeTenantConsumers(connection: NatsConnection, manager: JetStreamManager): Promise<Service> {
  const maker = new TenantConsumers(connection, manager);
  const subscription = connection.subscribe(tenantConsumerSubjects, {
    queue: 'q',
    callback: (error, message) => {
      if (error === null) maker.answer(message);
      else log.error({ err: error }, 'tenants get no consumers');
    },
  });
  await connection.flush();
  return {
    stop: async () => {
      await subscription.drain();
      await maker.idle();
    },
  };
}

class TenantConsumers {
  readonly #connection: NatsConnection;
  readonly #manager: JetStreamManager;
  readonly #rooms = new Map<string, Room>();
  readonly #inProgress = new Set<Promise<void>>();

  constructor(connection: NatsConnection, manager: JetStreamManager) {
    this.#connection = connection;
    this.#manager = manager;
  }

  answer(message: Msg): void {
    const work = this.#made(message).then(
      (answer) => void message.respond(answer),
      (error: unknown) => {
        if (!(error instanceof Refused)) log.error({ err: error, subject: message.subject }, 'no consumer was made');
        const told = error instanceof Refused ? error : unavailable('no consumer can be made just now');
        message.respond(JSON.stringify({ type: answerType, error: told.error }));
      },
    );
    this.#inProgress.add(work);
    void work.finally(() => this.#inProgress.delete(work));
  }

  async idle(): Promise<void> {
    await Promise.all(this.#inProgress);
  }

  async #made(message: Msg): Promise<Uint8Array> {
    const wanted = wantedIn(message.subject);
    const config = configOf(message.data, wanted);
    const room = this.#rooms.get(wanted.tenant) ?? new Room();
    this.#rooms.set(wanted.tenant, room);
    return room.within(async () => {
      await this.#requireRoom(wanted, room);
      const { stream, name, filter } = wanted;
      const subject = `$JS.API.CONSUMER.CREATE.${stream}.${name}.${filter}`;
      // `create`: one of this name and with other settings isn't changed.
      const request = JSON.stringify({ stream_name: stream, config, action: 'create' });
      const { data } = await this.#connection.request(subject, request, { timeout: busLimits.publishTimeoutMs });
      const isMade = (JSON.parse(new TextDecoder().decode(data)) as { error?: unknown }).error === undefined;
      if (isMade) room.consumers.add(keyOf(wanted));
      return data;
    });
  }

  async #requireRoom({ tenant, stream }: Wanted, room: Room): Promise<void> {
    const { tenantConsumersMax, streamConsumersMax } = busLimits;
    if (room.consumers.size >= tenantConsumersMax) await this.#forgetGone(room);
    if (room.consumers.size >= tenantConsumersMax)
      throw tooMany(`${tenant} has ${tenantConsumersMax}, each until a while after it was last used`);
    const { state } = await this.#manager.streams.info(stream);
    if (state.consumer_count >= streamConsumersMax) throw tooMany(`${stream} has ${state.consumer_count}`);
  }

  /** Those that the server has no more. Not looked for again at once where that found next to none. */
  async #forgetGone(room: Room): Promise<void> {
    const nowMs = performance.now();
    if (nowMs < room.lookAgainAtMs) return;
    const before = room.consumers.size;
    for (const key of room.consumers) {
      const [stream = '', name = ''] = key.split(' ');
      const there = await this.#manager.consumers.info(stream, name).then(
        () => true,
        (error: unknown) => !(error instanceof JetStreamApiError && error.code === consumerNotFound),
      );
      if (!there) room.consumers.delete(key);
    }
    const found = before - room.consumers.size;
    room.lookAgainAtMs = found * 2 > before ? nowMs : nowMs + busLimits.consumersLookedAtMs;
  }
}

/** One tenant's. */
class Room {
  /** That were made here and may be there still. */
  readonly consumers = new Set<string>();
  lookAgainAtMs = 0;
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  /** One after the other, so that none is made beyond the limit; not more wait than could be answered in time. */
  async within<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#waiting >= busLimits.consumersWaitingMax) throw unavailable('too many requests for consumers at once');
    this.#waiting++;
    const mine = this.#last.then(work, work);
    this.#last = mine.catch(() => {
      // Whoever asked is told; the next one's turn comes all the same.
    });
    try {
      return await mine;
    } finally {
      this.#waiting--;
    }
  }
}

const answerType = 'io.nats.jetstream.api.v1.consumer_create_response';
const consumerNotFound = 10_014;
const keyOf = ({ stream, name }: Wanted): string => `${stream} ${name}`;

/** What the subject names; the accounts let through no other stream or filter, which is looked at once more. */
function wantedIn(subject: string): Wanted {
  const [, , tenant = '', stream = '', name = '', ...rest] = subject.split('.');
  const filter = rest.join('.');
  const own = tenantStreams(tenant).find((each) => each.stream === stream);
  if (own === undefined || !filter.startsWith(own.filter.replace('>', '')))
    throw badRequest(`${filter} of ${stream} is not for ${tenant}`);
  return { tenant, stream, name, filter };
}

function configOf(data: Uint8Array, { stream, name, filter }: Wanted): object {
  const asked = askedFor(data);
  if (asked.stream_name !== stream) throw badRequest(`stream_name: expected ${stream}, received ${asked.stream_name}`);
  const { config } = asked;
  if (config.name !== undefined && config.name !== name)
    throw badRequest(`config.name: expected ${name}, received ${config.name}`);
  requireFilter(config, filter);
  const { inactive_threshold: idle = 0 } = config;
  return {
    ...taken(config),
    name,
    filter_subject: filter,
    ack_policy: 'none',
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: Math.min(idle === 0 ? busLimits.readerIdleMs * nanosecondsPerMs : idle, idleMax),
  };
}

const idleMax = 5 * busLimits.readerIdleMs * nanosecondsPerMs;

function askedFor(data: Uint8Array): ConsumerRequest {
  try {
    requireSmallJson(data, 'the request', { valuesMax: 200, depthMax: 5 });
    return validate(consumerRequestSchema, parseJson(data, 'the request'), 'the request');
  } catch (error) {
    throw badRequest((error as Error).message);
  }
}

function requireFilter(
  { filter_subject: one, filter_subjects: several }: ConsumerRequest['config'],
  filter: string,
): void {
  const said = several?.[0] ?? one;
  if (said !== filter || (one !== undefined && one !== '' && one !== filter))
    throw badRequest(`config.filter_subject: expected ${filter}, as in the subject, received ${said ?? 'none'}`);
}

function taken(config: ConsumerRequest['config']): object {
  const { deliver_policy, opt_start_seq, opt_start_time, replay_policy, headers_only } = config;
  const { max_waiting, max_batch, max_expires, max_bytes } = config;
  const all = { deliver_policy, opt_start_seq, opt_start_time, replay_policy, headers_only };
  return { ...all, max_waiting, max_batch, max_expires, max_bytes };
}
