/**
 * Creates the consumers with which tenants read their own messages. A tenant's request for a consumer is sent to this
 * process instead of JetStream. The server would accept fields of the request's body that no permission checks, such as
 * any delivery subject.
 *
 * Collaborators: users/server-configuration.ts maps the requests of each tenant's account to a subject that names the
 * tenant. JetStream creates the consumers.
 *
 * Invariants:
 * 1. A consumer is a pull consumer in memory without acknowledgements. It sees only its tenant's subjects, and the
 *    server removes it some minutes after its last use.
 * 2. The number of consumers is limited per tenant and process, and per stream, so that some remain for the services
 *    and other tenants.
 * 3. The filter of an existing consumer is never changed.
 * 4. No request can end the process.
 */
import { createLogger } from '@coppice/telemetry';
import { busLimits } from '../limits.ts';
import { JetStreamApiError } from '../nats.ts';
import type { JetStreamManager, Msg, NatsConnection } from '../nats.ts';
import type { Service } from '../serve.ts';
import { Refused, tooMany, unavailable } from './refusals.ts';
import { configOf } from './requests.ts';
import { consumerRequestIn, tenantConsumerSubjects } from './subjects.ts';
import type { ConsumerRequest } from './subjects.ts';

const log = createLogger('bus');

export async function serveTenantConsumers(connection: NatsConnection, manager: JetStreamManager): Promise<Service> {
  const consumers = new TenantConsumers(connection, manager);
  const subscription = connection.subscribe(tenantConsumerSubjects, {
    queue: 'q',
    callback: (error, message) => {
      if (error === null) consumers.take(message);
      else log.error({ err: error }, 'tenants get no consumers');
    },
  });
  await connection.flush();
  return {
    stop: async () => {
      await subscription.drain();
      await consumers.idle();
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

  take(message: Msg): void {
    const work = this.#answer(message).catch((error: unknown) => {
      log.error({ err: error, subject: message.subject }, 'a request for a consumer was not answered');
    });
    this.#inProgress.add(work);
    void work.then(() => this.#inProgress.delete(work));
  }

  async idle(): Promise<void> {
    await Promise.all(this.#inProgress);
  }

  async #answer(message: Msg): Promise<void> {
    const request = consumerRequestIn(message.subject);
    if (request === null) return;
    try {
      message.respond(await this.#make(request, message.data));
    } catch (error) {
      if (!(error instanceof Refused)) log.warn({ err: error, subject: message.subject }, 'consumer not created');
      const { error: reason } = error instanceof Refused ? error : unavailable('no consumer can be created now');
      message.respond(JSON.stringify({ type: answerType, error: reason }));
    }
  }

  async #make(request: ConsumerRequest, data: Uint8Array): Promise<Uint8Array> {
    const { tenant, stream, name, filter } = request;
    const config = configOf(data, request);
    const room = this.#rooms.get(tenant) ?? new Room();
    this.#rooms.set(tenant, room);
    return room.within(async () => {
      await this.#requireRoom(request, room);
      const subject = `$JS.API.CONSUMER.CREATE.${stream}.${name}.${filter}`;
      // With the action `create`, the server doesn't change an existing consumer of the same name.
      const body = JSON.stringify({ stream_name: stream, config, action: 'create' });
      const { data: answer } = await this.#connection.request(subject, body, {
        timeout: busLimits.publishTimeoutMs,
      });
      const isMade = (JSON.parse(new TextDecoder().decode(answer)) as { error?: unknown }).error === undefined;
      if (isMade) room.consumers.add(keyOf(request));
      return answer;
    });
  }

  async #infoOf(stream: string, name: string) {
    try {
      return await this.#manager.consumers.info(stream, name);
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === notFound) return null;
      throw error;
    }
  }

  async #requireRoom({ tenant, stream }: ConsumerRequest, room: Room): Promise<void> {
    const { tenantConsumersMax, streamConsumersMax } = busLimits;
    if (room.consumers.size >= tenantConsumersMax) await this.#forgetGone(room);
    if (room.consumers.size >= tenantConsumersMax)
      throw tooMany(`${tenant} has ${tenantConsumersMax}, each until a while after it was last used`);
    const { state } = await this.#manager.streams.info(stream);
    if (state.consumer_count >= streamConsumersMax) throw tooMany(`${stream} has ${state.consumer_count}`);
  }

  /**
   * Forgets the consumers that the server has removed. If these are at most half, the next check runs after
   * `consumersLookedAtMs` at the earliest.
   */
  async #forgetGone(room: Room): Promise<void> {
    const nowMs = performance.now();
    if (nowMs < room.lookAgainAtMs) return;
    const before = room.consumers.size;
    for (const key of room.consumers) {
      const [stream = '', name = ''] = key.split(' ');
      if ((await this.#infoOf(stream, name)) === null) room.consumers.delete(key);
    }
    const found = before - room.consumers.size;
    room.lookAgainAtMs = found * 2 > before ? nowMs : nowMs + busLimits.consumersLookedAtMs;
  }
}

/** Consumers of one tenant. Doesn't use `Admission`, since libs/service depends on this library. */
class Room {
  /** Consumers that this process has created and that may still exist. */
  readonly consumers = new Set<string>();
  lookAgainAtMs = 0;
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Runs the tenant's requests one after another, so that they don't exceed the limit together. Limits the number of
   * waiting requests, so that all are answered in time.
   */
  async within<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#waiting >= busLimits.consumersWaitingMax) throw unavailable('too many requests for consumers at once');
    this.#waiting++;
    const mine = this.#last.then(work, work);
    this.#last = mine.catch(() => {
      // The caller gets the error, and the next request runs in any case.
    });
    try {
      return await mine;
    } finally {
      this.#waiting--;
    }
  }
}

const answerType = 'io.nats.jetstream.api.v1.consumer_create_response';
const notFound = 10_014;
const keyOf = ({ stream, name }: ConsumerRequest): string => `${stream} ${name}`;
