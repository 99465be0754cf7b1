import { Bus } from '@coppice/bus';
import type { StoredMessage } from '@coppice/bus';
import { buckets, streams, subjects } from '@coppice/contracts';
import type { CommandMessage, Outcome } from '@coppice/contracts';
import { eventually, startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { createActor, readActor, sendEvent, startActorHost } from '../index.ts';
import type { ActorHost, ActorHostOptions, ActorView } from '../index.ts';
import { decodeStored } from '../value.ts';
import type { ActorValue } from '../value.ts';
import { desk, job } from './machines.ts';
import type { DeskContext } from './machines.ts';

/** A real nats-server with hosts for the actors of machines.ts, and methods that read the stored data. */
export class Harness {
  readonly server: NatsServer;
  readonly bus: Bus;
  readonly #hosts: ActorHost[] = [];
  #messages = 0;

  private constructor(server: NatsServer, bus: Bus) {
    this.server = server;
    this.bus = bus;
  }

  static async start(config?: string): Promise<Harness> {
    const server = await startNatsServer(config === undefined ? {} : { config });
    const bus = await Bus.connect({ ...server.connection, name: 'durable-actor-test' });
    await bus.ensureResources();
    return new Harness(server, bus);
  }

  async stop(): Promise<void> {
    await this.stopHosts();
    await this.bus.close();
    await this.server.stop();
  }

  async host(options: Partial<ActorHostOptions> = {}): Promise<ActorHost> {
    const host = await startActorHost({ bus: this.bus, actors: [job, desk], concurrency: 4, ...options });
    this.#hosts.push(host);
    return host;
  }

  async stopHosts(): Promise<void> {
    await Promise.all(this.#hosts.splice(0).map((host) => host.stop()));
  }

  create(kind: string, id: string, input: unknown = {}, event?: { type: string }): Promise<void> {
    const messageId = `create-${kind}-${id}`;
    return createActor(this.bus, { kind, id, input, messageId, ...(event === undefined ? {} : { event }) });
  }

  send(
    kind: string,
    id: string,
    event: { type: string } & Record<string, unknown>,
    messageId = `m${++this.#messages}`,
  ) {
    return sendEvent(this.bus, { kind, id, event, messageId, awaitAnswerMs: 5_000 });
  }

  /** Publishes a message to an inbox. The message may be invalid. */
  post(kind: string, id: string, message: unknown, headers: Record<string, string> = {}): Promise<unknown> {
    const data = message instanceof Uint8Array ? message : (message as object);
    return this.bus.publish(subjects.actor(kind, id), data, { headers });
  }

  result(kind: string, id: string, effectId: string, outcome: Outcome): Promise<unknown> {
    return this.post(kind, id, { type: 'result', effectId, outcome });
  }

  async value(kind: string, id: string): Promise<ActorValue> {
    const entry = await this.bus.keyValue(buckets.actors).get(`${kind}.${id}`);
    if (entry === null) throw new Error(`no value of ${kind} ${id}`);
    const stored = decodeStored(entry.value);
    if (stored.type === 'parked') throw new Error(`${kind} ${id} is parked: ${stored.parked.message}`);
    return stored.value;
  }

  async reaches(kind: string, id: string, state: string): Promise<ActorView> {
    return eventually(
      async () => {
        const view = await readActor(this.bus, kind, id);
        if (view?.state !== state) throw new Error(`it is ${view?.state} (${view?.status})`);
        return view;
      },
      { description: `${kind} ${id} to be ${state}` },
    );
  }

  async deskContext(): Promise<DeskContext> {
    const view = await readActor(this.bus, 'desk', 'main');
    if (view === null) throw new Error('there is no desk');
    return view.context as DeskContext;
  }

  /** Returns the id of the effect in flight with this child id or timer id. */
  async effectOf(kind: string, id: string, childId: string): Promise<string> {
    const { inFlight } = await this.value(kind, id);
    const found = Object.entries(inFlight).find(([, effect]) =>
      effect.type === 'timer' ? effect.sendId === childId : effect.childId === childId,
    );
    if (found === undefined) throw new Error(`${childId} of ${kind} ${id} is not in flight`);
    return found[0];
  }

  async stored(stream: string, subject: string): Promise<StoredMessage[]> {
    const all: StoredMessage[] = [];
    for await (const message of this.bus.browse(stream, subject)) all.push(message);
    return all;
  }

  /** Returns the commands in the stream. Tests answer them with `result`, since no service is running. */
  async commands(id?: string): Promise<CommandMessage[]> {
    const all = (await this.stored(streams.commands, 'coppice.cmd.>')).map(
      (message) => message.json() as CommandMessage,
    );
    return id === undefined ? all : all.filter((command) => command.replyTo.id === id);
  }

  /** Returns the state events that a job published, in the order of the stream. */
  async events(id: string): Promise<{ sequence: number; state: string; id: string }[]> {
    const all: { sequence: number; state: string; id: string }[] = [];
    for (const message of await this.stored(streams.events, `coppice.event.default.r1.${id}.>`))
      all.push(message.json() as never);
    return all;
  }

  async deadLetters(subject?: string): Promise<{ subject: string; reason: { code: string; message: string } }[]> {
    const all = (await this.stored(streams.deadLetters, 'coppice.deadletter.>')).map(
      (message) => message.json() as { subject: string; reason: { code: string; message: string } },
    );
    return subject === undefined ? all : all.filter((letter) => letter.subject === subject);
  }

  async quiet(kind: string, id: string): Promise<void> {
    await eventually(async () => (await this.stored(streams.actors, subjects.actor(kind, id))).length === 0, {
      description: `the inbox of ${kind} ${id} to be empty`,
    });
  }
}

export const prepared = {
  node: 'node1',
  branch: 'coppice/x',
  baseCommit: 'a'.repeat(40),
  mounts: [{ source: '/somewhere', target: '/workspace', readOnly: false }],
};
