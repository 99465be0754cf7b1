import type { Bus } from '@coppice/bus';
import { CoppiceError, buckets, outcomeSchema, subjects } from '@coppice/contracts';
import type { ActorMessage, Outcome } from '@coppice/contracts';
import { Unrestorable } from './errors.ts';
import { actorKey, decodeStored, faultOfAddress, stateText } from './value.ts';
import type { ActorValue, Parked } from './value.ts';

export type Address = { kind: string; id: string };

/**
 * An event that is stored in the inbox. `state` is the actor's state after the event. It is null if no answer arrived
 * or none was awaited.
 */
export type Sent = { messageId: string; state: string | null; deferred: boolean };

/**
 * Sends an event to an actor's inbox. Resolves when the event is stored in the inbox.
 * With `awaitAnswerMs`, resolves when the actor has handled or deferred the event, or after that time. A missing answer
 * isn't a failure, since the stored event will be handled.
 * @throws CoppiceError if the actor rejects the event within `awaitAnswerMs`
 */
export async function sendEvent(
  bus: Bus,
  options: Address & {
    event: { type: string } & Record<string, unknown>;
    /** The actor applies events with the same id only once. */
    messageId: string;
    awaitAnswerMs?: number;
  },
): Promise<Sent> {
  const { kind, id, event, messageId, awaitAnswerMs } = options;
  requireAddress({ kind, id });
  const issuedAt = new Date().toISOString();
  const post = async (answerTo?: string) => {
    const message: ActorMessage = {
      type: 'event',
      messageId,
      event,
      issuedAt,
      ...(answerTo === undefined ? {} : { answerTo }),
    };
    // There is no NATS message id here. With one, the server would drop an event that is sent again soon after a
    // rejection. The actor drops duplicates of events that it has applied.
    await bus.publish(subjects.actor(kind, id), message, { template: subjects.actor(kind, '*') });
  };
  if (awaitAnswerMs === undefined) {
    await post();
    return { messageId, state: null, deferred: false };
  }
  const outcome = await answerOf(bus, awaitAnswerMs, post);
  if (outcome === null) return { messageId, state: null, deferred: false };
  if (outcome.status === 'failed') throw CoppiceError.fromWire(outcome.error);
  const output = outcome.output as { state?: string; deferred?: boolean };
  return { messageId, state: output.state ?? null, deferred: output.deferred ?? false };
}

async function answerOf(bus: Bus, awaitMs: number, post: (answerTo: string) => Promise<void>): Promise<Outcome | null> {
  const answerTo = bus.newInbox();
  const answer = Promise.withResolvers<Outcome | null>();
  const timeout = setTimeout(() => answer.resolve(null), awaitMs);
  const subscription = bus.subscribeCore(answerTo, (data) => {
    const parsed = outcomeSchema.safeParse(JSON.parse(new TextDecoder().decode(data)));
    if (parsed.success) answer.resolve(parsed.data);
  });
  try {
    await bus.flush();
    await post(answerTo);
    return await answer.promise;
  } finally {
    clearTimeout(timeout);
    subscription.unsubscribe();
  }
}

/**
 * Creates an actor unless it exists. Resolves when the `create` is stored in the inbox. An existing actor also gets
 * `event`.
 */
export async function createActor(
  bus: Bus,
  options: Address & { input: unknown; messageId: string; event?: { type: string } & Record<string, unknown> },
): Promise<void> {
  const { kind, id, input, messageId, event } = options;
  requireAddress({ kind, id });
  const issuedAt = new Date().toISOString();
  const message: ActorMessage = {
    type: 'create',
    messageId,
    input,
    issuedAt,
    ...(event === undefined ? {} : { event }),
  };
  await bus.publish(subjects.actor(kind, id), message, { template: subjects.actor(kind, '*') });
}

/** Times are in RFC 3339 format. */
export type ActorView = {
  kind: string;
  id: string;
  revision: number;
  status: 'active' | 'done' | 'parked';
  /** XState's state value. `state` is the same value as text. */
  value: unknown;
  state: string;
  /** Null in a finished actor. */
  context: unknown;
  output: unknown;
  /** Result of the definition's `summary`. Null unless the actor is finished. */
  summary: unknown;
  parked: Parked | null;
  createdAt: string;
  updatedAt: string;
};

/**
 * Reads an actor's stored value. Null if the actor doesn't exist. A parked actor has its last value, if that is
 * readable.
 */
export async function readActor(bus: Bus, kind: string, id: string): Promise<ActorView | null> {
  requireAddress({ kind, id });
  const entry = await bus.keyValue(buckets.actors).get(actorKey(kind, id));
  return entry === null ? null : viewOf(kind, id, entry.value, entry.revision);
}

/** Lists actors of a kind, in no defined order. `under` selects ids that begin with `<under>.`. */
export async function* listActors(bus: Bus, options: { kind: string; under?: string }): AsyncIterable<ActorView> {
  const { kind, under } = options;
  const actors = bus.keyValue(buckets.actors);
  const prefix = under === undefined ? kind : `${kind}.${under}`;
  for await (const key of actors.keys(`${prefix}.>`)) {
    const entry = await actors.get(key);
    if (entry !== null) yield viewOf(kind, key.slice(kind.length + 1), entry.value, entry.revision);
  }
}

function viewOf(kind: string, id: string, bytes: Uint8Array, revision: number): ActorView {
  const { value, parked } = decodeLeniently(bytes);
  const time = (milliseconds: number | undefined) => new Date(milliseconds ?? parked?.parkedAtMs ?? 0).toISOString();
  return {
    kind,
    id,
    revision,
    status: parked !== null ? 'parked' : (value?.status ?? 'parked'),
    value: value?.state ?? null,
    state: stateText(value?.state ?? null),
    context: value?.snapshot?.context ?? null,
    output: value?.output ?? null,
    summary: value?.summary ?? null,
    parked,
    createdAt: time(value?.createdAtMs),
    updatedAt: time(value?.updatedAtMs),
  };
}

function decodeLeniently(bytes: Uint8Array): { value: ActorValue | null; parked: Parked | null } {
  try {
    const stored = decodeStored(bytes);
    if (stored.type === 'value') return { value: stored.value, parked: null };
    return { value: decodeLeniently(stored.original).value, parked: stored.parked };
  } catch (error) {
    const message = error instanceof Unrestorable ? error.message : String(error);
    return { value: null, parked: { code: 'corrupt', message, parkedAtMs: 0, by: '' } };
  }
}

function requireAddress(address: Address): void {
  const fault = faultOfAddress(address);
  if (fault !== null) throw new CoppiceError('invalid-request', fault);
}
