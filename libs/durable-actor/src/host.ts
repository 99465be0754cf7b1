import { randomBytes } from 'node:crypto';
import type { Bus, Consumption, Delivery } from '@coppice/bus';
import { actorConsumer, streams, subjects } from '@coppice/contracts';
import { ActorStore } from './actor-store.ts';
import type { Census } from './census.ts';
import type { Reach } from './crash-points.ts';
import type { ActorDefinition } from './definition.ts';
import { Dispatcher } from './dispatch.ts';
import { TransitionFailed } from './errors.ts';
import { MessageHandler } from './handle-message.ts';
import { hostParts } from './host-parts.ts';
import type { Clock, HostParts, OnStored } from './host-parts.ts';
import { KeyedLock } from './keyed-lock.ts';
import type { HostLimits } from './limits.ts';
import { Parking } from './park.ts';
import { Sweeper } from './sweeper.ts';

export type ActorHostOptions = {
  bus: Bus;
  actors: readonly ActorDefinition[];
  /** Maximum number of messages that are handled at once per kind of actor. Default 16. */
  concurrency?: number;
  clock?: Clock;
  limits?: Partial<HostLimits>;
  hooks?: { reach?: Reach };
  onStored?: OnStored;
  /** Called after each walk of the sweeper with the number of actors by kind and state. */
  onCensus?: (census: Census) => void;
};

export type ActorHost = {
  /** Stops consuming. Resolves when no message is in handling. */
  stop(): Promise<void>;
  /**
   * Unparks an actor and puts its stashed messages back into the inbox.
   * @throws Unrestorable if this host's machine can't restore the actor
   */
  unpark(kind: string, id: string): Promise<'unparked' | 'not-parked' | 'absent'>;
  sweep(): Promise<void>;
};

/** Starts to handle messages of actors. All hosts share the inboxes through one durable consumer per kind of actor. */
export async function startActorHost(options: ActorHostOptions): Promise<ActorHost> {
  const parts = hostParts(options.bus, {
    ...(options.clock === undefined ? {} : { clock: options.clock }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.hooks?.reach === undefined ? {} : { reach: options.hooks.reach }),
    ...(options.onStored === undefined ? {} : { onStored: options.onStored }),
    ...(options.onCensus === undefined ? {} : { onCensus: options.onCensus }),
  });
  const definitions = new Map(options.actors.map((definition) => [definition.kind, definition]));
  const store = new ActorStore(parts);
  const parking = new Parking(parts, store);
  const handler = new MessageHandler(parts, store, new Dispatcher(parts), parking);
  const sweeper = new Sweeper(parts, definitions, randomBytes(8).toString('hex'));
  const lock = new KeyedLock();
  const inHandling = new Set<number>();
  const consumptions: Consumption[] = [];
  for (const definition of definitions.values()) {
    const consumption = await parts.bus.consume(
      {
        stream: streams.actors,
        durable: actorConsumer(definition.kind),
        filterSubject: subjects.actor(definition.kind, '>'),
        ackWaitMs: parts.limits.ackWaitMs,
        concurrency: options.concurrency ?? concurrencyDefault,
      },
      async (delivery) => {
        // This process still handles an earlier delivery of this message, although the ack wait is over. In this
        // process the redelivery would only occupy a slot. Another host may handle it.
        if (inHandling.has(delivery.sequence)) return delivery.retry(parts.limits.ackWaitMs);
        inHandling.add(delivery.sequence);
        try {
          await lock.run(delivery.subject, () => handleOrGiveBack(parts, handler, definition, delivery));
        } finally {
          inHandling.delete(delivery.sequence);
        }
      },
    );
    consumptions.push(consumption);
  }
  sweeper.start();
  return {
    stop: async () => {
      await sweeper.stop();
      await Promise.all(consumptions.map((consumption) => consumption.stop()));
    },
    unpark: (kind, id) => parking.unpark(definitionOf(definitions, kind), id),
    sweep: () => sweeper.walk(),
  };
}

const concurrencyDefault = 16;

async function handleOrGiveBack(
  parts: HostParts,
  handler: MessageHandler,
  definition: ActorDefinition,
  delivery: Delivery,
): Promise<void> {
  try {
    await handler.handle(definition, delivery);
  } catch (error) {
    const delayMs = pauseMs(parts.limits, delivery.deliveryCount, error instanceof TransitionFailed);
    const { subject, deliveryCount } = delivery;
    parts.log.warn({ err: error, subject, deliveries: deliveryCount, delayMs }, 'message given back');
    delivery.retry(delayMs);
  }
}

function pauseMs(limits: HostLimits, deliveries: number, byMachine: boolean): number {
  const [least, most] = byMachine
    ? [limits.retryDelayMsMin, limits.retryDelayMsMax]
    : [limits.outageDelayMsMin, limits.outageDelayMsMax];
  return Math.min(least * 2 ** Math.min(deliveries - 1, doublingsMax), most);
}

const doublingsMax = 20;

function definitionOf(definitions: ReadonlyMap<string, ActorDefinition>, kind: string): ActorDefinition {
  const definition = definitions.get(kind);
  if (definition === undefined) throw new Error(`this host knows no actor of kind ${kind}`);
  return definition;
}
