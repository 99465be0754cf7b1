import path from 'node:path';
import { Bus } from '@coppice/bus';
import { buckets, streams, subjects } from '@coppice/contracts';
import { isEffectFailed, startActorHost } from '@coppice/durable-actor';
import type { ActorDefinition, CrashPoint } from '@coppice/durable-actor';
import { eventually, startNatsServer, startProcess } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import type { EventObject } from 'xstate';
import { pathTimeMs } from './generate-paths.ts';
import type { MachinePath } from './generate-paths.ts';

/** The fields of a stored value that a replay reads. */
export type StoredValue = {
  state: unknown;
  cause: number;
  inFlight: Record<string, { type: string; childId?: string; event?: { type: string } }>;
};

/** All data on a server after a replay. Random ids and sequence numbers are replaced by fixed values. */
export type Remains = { values: Record<string, unknown>; messages: Record<string, string[]>; claims: string[] };

const issuedAt = new Date(pathTimeMs).toISOString();
const done = 'xstate.done.actor.';
const concurrency = 32;
/**
 * A sequence number that no replay reaches. The engine finds no message with this number, as if the message had been
 * acknowledged.
 */
const acknowledgedSequence = 1_000_000;

/**
 * Replays paths of one kind of actor on a real actor host and a real NATS server. In each round, every actor gets its
 * next event. No service takes part. This class puts results into the inbox as a service would.
 */
export class Replay implements AsyncDisposable {
  readonly #server: NatsServer;
  readonly #bus: Bus;
  readonly #actor: ActorDefinition;
  readonly #paths: readonly MachinePath[];

  private constructor(server: NatsServer, bus: Bus, paths: readonly MachinePath[]) {
    const [first] = paths;
    if (first === undefined) throw new Error('no path to replay');
    this.#server = server;
    this.#bus = bus;
    this.#actor = first.case.actor;
    this.#paths = paths;
  }

  static async start(paths: readonly MachinePath[]): Promise<Replay> {
    const server = await startNatsServer();
    const bus = await Bus.connect({ ...server.connection, name: 'path-replay' });
    await bus.ensureResources();
    return new Replay(server, bus, paths);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bus.close();
    await this.#server.stop();
  }

  get rounds(): number {
    return 1 + Math.max(...this.#paths.map(({ events }) => events.length));
  }

  /** Replays all paths with one engine that isn't interrupted. */
  async uninterrupted(): Promise<Remains> {
    let stored = 0;
    const host = await this.#host(() => (stored += 1));
    for (let round = 0, expected = 0; round < this.rounds; round++) {
      expected += await this.#post(round);
      const sum = expected;
      await eventually(() => stored >= sum, { timeoutMs: 30_000, intervalMs: 5, description: `round ${round}` });
    }
    return this.#finish(host);
  }

  /**
   * Replays all paths. Each round has its own engine process, which is killed at the round's crash point. A last engine
   * isn't killed. A result can only arrive for a published command. So after a crash before the publishing, the next
   * engine first handles the redelivered messages. Returns the remains, and the number of interrupted handlings in all
   * rounds.
   */
  async interrupted(pointOf: (round: number) => CrashPoint): Promise<{ remains: Remains; crashes: number }> {
    let crashes = 0;
    for (let round = 0; round < this.rounds; round++) {
      const count = this.#paths.filter(({ events }) => round <= events.length).length;
      const crash = this.#crash(pointOf(round), count);
      if (round > 0 && pointOf(round - 1) === 'state-stored') await Promise.race([crash, this.#quiet()]);
      await this.#post(round);
      await crash;
      crashes += count;
    }
    return { remains: await this.#finish(await this.#host()), crashes };
  }

  /** Returns the stored values, one for each path. */
  values(): Promise<StoredValue[]> {
    return Promise.all(this.#paths.map((_, index) => this.#value(index)));
  }

  #idOf(index: number): string {
    const { case: of, stored } = this.#pathOf(index);
    return stored === undefined ? of.id(String(index)) : String(stored['id']);
  }

  #pathOf(index: number): MachinePath {
    const found = this.#paths[index];
    if (found === undefined) throw new Error(`no path ${index}`);
    return found;
  }

  async #host(onStored: () => void = () => {}) {
    const limits = { ackWaitMs: 1_000, deliveriesMax: 1_000, sweepIntervalMs: 600_000 };
    const clock = { now: () => new Date(pathTimeMs) };
    return startActorHost({ bus: this.#bus, actors: [this.#actor], clock, concurrency, limits, onStored });
  }

  async #crash(point: CrashPoint, count: number): Promise<void> {
    const script = path.join(import.meta.dirname, '../../test-programs/crash-engine.ts');
    const { kind } = this.#actor;
    const args = [this.#server.url, kind, point, String(count), String(pathTimeMs)];
    const child = startProcess(script, args, { COPPICE_LOG_LEVEL: 'error' });
    const timeout = setTimeout(() => child.signal('SIGTERM'), 30_000);
    const { signal } = await child.exited;
    clearTimeout(timeout);
    if (signal === 'SIGKILL') return;
    throw new Error(`${count} messages did not reach ${point}:\n${child.lines.map(({ text }) => text).join('\n')}`);
  }

  /** Sends each actor its next message. Returns the number of messages. */
  async #post(round: number): Promise<number> {
    let posted = 0;
    for (const [index, { case: of, events, stored }] of this.#paths.entries()) {
      const event = events[round - 1];
      if (round > 0 && event === undefined) continue;
      if (event === undefined && stored !== undefined) {
        const key = `${this.#actor.kind}.${this.#idOf(index)}`;
        const value = { ...stored, cause: acknowledgedSequence };
        await this.#bus.keyValue(buckets.actors).create(key, new TextEncoder().encode(JSON.stringify(value)));
        continue;
      }
      const message =
        event === undefined
          ? { type: 'create', messageId: 'create', input: of.input(String(index)), issuedAt }
          : messageOf(event, await this.#value(index), stored === undefined ? `event-${round}` : `continued-${round}`);
      await this.#bus.publish(subjects.actor(this.#actor.kind, this.#idOf(index)), message);
      posted += 1;
    }
    return posted;
  }

  async #value(index: number): Promise<StoredValue> {
    const key = `${this.#actor.kind}.${this.#idOf(index)}`;
    const entry = await this.#bus.keyValue(buckets.actors).get(key);
    if (entry === null) throw new Error(`${key} is not stored`);
    return JSON.parse(new TextDecoder().decode(entry.value)) as StoredValue;
  }

  async #quiet(): Promise<void> {
    const inboxes = subjects.actor(this.#actor.kind, '>');
    const isQuiet = async () => (await this.#messages(streams.actors, inboxes)).length === 0;
    await eventually(isQuiet, { timeoutMs: 30_000, intervalMs: 50, description: 'the inboxes to be empty' });
  }

  async #finish(host: Awaited<ReturnType<typeof startActorHost>>): Promise<Remains> {
    await this.#quiet();
    await host.stop();
    const values: Record<string, unknown> = {};
    for (const [index, value] of (await this.values()).entries()) {
      values[this.#idOf(index)] = JSON.parse(steady(JSON.stringify({ ...value, cause: 0 })));
    }
    const messages: Record<string, string[]> = {};
    for (const [stream, filter] of [
      [streams.actors, 'coppice.>'],
      [streams.commands, 'coppice.cmd.>'],
      [streams.events, 'coppice.event.>'],
    ] as const)
      for (const { subject, text } of await this.#messages(stream, filter))
        (messages[steady(subject)] ??= []).push(steady(text));
    for (const list of Object.values(messages)) list.sort();
    const claims: string[] = [];
    for await (const key of this.#bus.keyValue(buckets.effects).keys('>')) claims.push(steady(key));
    return { values, messages, claims: claims.toSorted() };
  }

  async #messages(stream: string, filter: string): Promise<{ subject: string; text: string }[]> {
    const all: { subject: string; text: string }[] = [];
    for await (const message of this.#bus.browse(stream, filter))
      all.push({ subject: message.subject, text: JSON.stringify(message.json()) });
    return all;
  }
}

/** Replaces the random part of the ids in a text. */
const steady = (text: string): string => text.replaceAll(/(?<=_|"incarnation":")[0-9a-f]{15}(?=_\d|")/g, 'fixed');

/** Returns the inbox message that causes this event of the machine. */
function messageOf(timed: EventObject & { now?: number }, value: StoredValue, messageId: string): object {
  const event: EventObject & { now?: number } = { ...timed };
  delete event.now;
  const effectOf = (isIt: (effect: StoredValue['inFlight'][string]) => boolean): string => {
    const found = Object.entries(value.inFlight).find(([, effect]) => isIt(effect));
    if (found === undefined)
      throw new Error(`no effect of ${event.type} is in flight in ${JSON.stringify(value.state)}`);
    return found[0];
  };
  if (isEffectFailed(event)) {
    const effectId = effectOf(({ childId }) => childId === event.actorId);
    return { type: 'result', effectId, outcome: { status: 'failed', error: event.error } };
  }
  if (event.type.startsWith(done)) {
    const effectId = effectOf(({ childId }) => childId === event.type.slice(done.length));
    return { type: 'result', effectId, outcome: { status: 'done', output: (event as { output?: unknown }).output } };
  }
  if (event.type.startsWith('xstate.after.'))
    return { type: 'timer', effectId: effectOf((effect) => effect.event?.type === event.type) };
  return { type: 'event', messageId, event, issuedAt };
}
