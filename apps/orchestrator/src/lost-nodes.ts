import { elapsedMs, listMembers, refuseCommands } from '@coppice/bus';
import type { Bus, Consumption, Membership } from '@coppice/bus';
import { CoppiceError, commandConsumer, nodeOfPool, nodeServiceNames } from '@coppice/contracts';
import type { NodeServiceName } from '@coppice/contracts';
import { createLogger } from '@coppice/telemetry';

/**
 * Detects hosts that don't return. The commands of a task wait for the node that has the task's files. If a service of
 * that node has been absent for `lostAfterMs`, each command to it is answered as failed. So its tasks end with a reason
 * and release their landing slots.
 *
 * Invariants:
 * 1. A node counts as lost only if this process has seen it absent for the whole time, and was itself connected,
 *    running and registered. So an outage of the NATS server or of an orchestrator doesn't make a node lost.
 * 2. A node that returns handles its commands again. Results of commands that were in progress are ignored, since their
 *    actors no longer wait for them. The node's folders stay.
 */
export type LostNodes = { stop(): Promise<void> };

const log = createLogger('lost-nodes');
const looksMin = 10;
const lookEveryMsMax = 30_000;

type QueueOfNode = { service: NodeServiceName; node: string; pool: string };
type Absent = QueueOfNode & { sinceMs: number; refusing: Consumption | null };

export function watchForLostNodes(bus: Bus, member: Membership, options: { lostAfterMs: number }): LostNodes {
  const watch = new Watch(bus, member, options.lostAfterMs);
  let looking = Promise.resolve();
  const timer = setInterval(
    () => {
      looking = looking
        .then(() => watch.look())
        .catch((error: unknown) => log.warn({ err: error }, 'could not find out which hosts are there'));
    },
    Math.min(options.lostAfterMs / looksMin, lookEveryMsMax),
  );
  return {
    stop: async () => {
      clearInterval(timer);
      await looking;
      await watch.end();
    },
  };
}

class Watch {
  readonly #bus: Bus;
  readonly #member: Membership;
  readonly #lostAfterMs: number;
  /** Absent services by queue name. */
  readonly #absent = new Map<string, Absent>();

  constructor(bus: Bus, member: Membership, lostAfterMs: number) {
    this.#bus = bus;
    this.#member = member;
    this.#lostAfterMs = lostAfterMs;
  }

  async look(): Promise<void> {
    const waitedFor = (await this.#bus.queues()).filter(({ waiting, inProgress }) => waiting + inProgress > 0);
    const members = await listMembers(this.#bus);
    const there = new Set(members.map(({ service, node }) => `${service}-${node}`));
    for (const [queue, { service, node, refusing }] of this.#absent) {
      if (!there.has(`${service}-${node}`)) continue;
      this.#absent.delete(queue);
      await refusing?.stop();
    }
    for (const { name } of waitedFor) {
      const queue = ofNode(name);
      if (queue !== null && !there.has(`${queue.service}-${queue.node}`)) await this.#miss(name, queue);
    }
  }

  async #miss(name: string, queue: QueueOfNode): Promise<void> {
    const absent = this.#absent.get(name) ?? { ...queue, sinceMs: elapsedMs(), refusing: null };
    this.#absent.set(name, absent);
    if (absent.refusing !== null) return;
    const nowMs = elapsedMs();
    absent.sinceMs = Math.max(absent.sinceMs, this.#member.soundSince() ?? nowMs);
    if (nowMs - absent.sinceMs < this.#lostAfterMs) return;
    const { service, node, pool } = absent;
    const text = `its host ${node} is gone: no ${service} has been there for ${Math.round(this.#lostAfterMs / 1_000)} s`;
    log.error({ node, service }, `${text}; its waiting commands are answered as failed`);
    const error = new CoppiceError('unavailable', text, { retryable: false });
    absent.refusing = await refuseCommands(this.#bus, { service, pool, error });
  }

  async end(): Promise<void> {
    for (const { refusing } of this.#absent.values()) await refusing?.stop();
  }
}

function ofNode(queue: string): QueueOfNode | null {
  const service = nodeServiceNames.find((each) => queue.startsWith(commandConsumer(each, '')));
  if (service === undefined) return null;
  const pool = queue.slice(commandConsumer(service, '').length);
  const node = nodeOfPool(pool);
  return node === null ? null : { service, node, pool };
}
