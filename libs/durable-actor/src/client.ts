import type { Bus } from '@coppice/bus';
import { CoppiceError, buckets, outcomeSchema, subjects } from '@coppice/contracts';
import type { ActorMessage, Outcome } from '@coppice/contracts';
import { Unrestorable } from './errors.ts';
import { actorKey, decodeStored, faultOfAddress, stateText } from './value.ts';
import type { ActorValue, Parked } from './value.ts';

/** How those who aren't actors talk to actors, and look at them. */
export type Address = { kind: string; id: string };

/** The event is stored, and will be handled or refused. `state` is where it left the actor; null when nobody answered in time. */
export type Sent = { messageId: string; state: string | null; deferred: boolean };

/**
 * Sends an event to an actor's inbox. Resolves when it is stored there; with `awaitAnswerMs`, when the actor has taken it, or when that time is over
 * without an answer, which is not a failure: it is stored and goes on.
 * @throws CoppiceError of the refusal.
 */
export async function sendEvent(
  bus: Bus,
  options: Address & {
    event: { type: string } & Record<string, unknown>;
    /** A repeat with the same id is not applied again. */
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
    // No message id for the server: its window would swallow a wanted repeat after a refusal. The actor dedupes what it applied.
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
 * Orders an actor's birth; harmless where it is there already. Resolves when the order is stored. `event` reaches the actor whether
 * this or an earlier create made it.
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

/** What can be seen of an actor. Times are RFC 3339. */
export type ActorView = {
  kind: string;
  id: string;
  revision: number;
  status: 'active' | 'done' | 'parked';
  /** XState's state value, and the same as one text. */
  value: unknown;
  state: string;
  /** Null in a finished actor. */
  context: unknown;
  output: unknown;
  /** What a finished actor's definition kept. */
  summary: unknown;
  parked: Parked | null;
  createdAt: string;
  updatedAt: string;
};

/** An actor as it is stored now; null where there is none. A parked actor shows what it was, as far as that can be read. */
export async function readActor(bus: Bus, kind: string, id: string): Promise<ActorView | null> {
  requireAddress({ kind, id });
  const entry = await bus.keyValue(buckets.actors).get(actorKey(kind, id));
  return entry === null ? null : viewOf(kind, id, entry.value, entry.revision);
}

/** Actors of a kind, in no promised order; `under` is the first part of their ids, up to a dot. */
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
