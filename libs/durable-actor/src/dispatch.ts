import { cancelSubject } from '@coppice/bus';
import { commandTemplateOf, streams, subjects } from '@coppice/contracts';
import type { CommandMessage } from '@coppice/contracts';
import type { StoredContext } from '@coppice/telemetry';
import { LRUCache } from 'lru-cache';
import type { CrashPoint } from './crash-points.ts';
import type { HostParts } from './host-parts.ts';
import { orders } from './map-actions.ts';
import { messageHeaders } from './message-headers.ts';
import { contextOf } from './spans.ts';
import { actorKey } from './value.ts';
import type { ActorValue, OutboxItem } from './value.ts';

/**
 * Publishes outboxes and tracks which outboxes are published.
 *
 * Invariants:
 * 2. Only items of a stored outbox are published, in order. The message that caused the outbox is acknowledged after
 *    that.
 * 3. An outbox stays in the stored value until the next transition is written. Before that transition, `settle`
 *    publishes all items again that may be unpublished. The server drops a duplicate within the dedupe window. Later,
 *    receivers drop it by its effect or message id. An item counts as published in three cases:
 *    - This host has published the outbox of this revision.
 *    - The message that caused the outbox has left the inbox. Its handler acknowledges it only after publishing.
 *    - The result of the item's effect, or of a later item's effect, has arrived.
 * 4. An effect may already be cancelled or done when its item is published again. Receivers handle both cases (see
 *    claims.ts in libs/bus).
 */
export class Dispatcher {
  readonly #parts: HostParts;
  /** Last revision whose outbox this host has published, by actor key. */
  readonly #published: LRUCache<string, number>;

  constructor(parts: HostParts) {
    this.#parts = parts;
    this.#published = new LRUCache({ max: parts.limits.rememberedDispatchesMax });
  }

  async publish(value: ActorValue, revision: number): Promise<void> {
    await this.#publishItems(value, value.outbox, 'outbox-item-published');
    this.remember(value, revision);
  }

  remember(value: ActorValue, revision: number): void {
    this.#published.set(actorKey(value.kind, value.id), revision);
  }

  /**
   * Publishes the items of a stored outbox that may be unpublished. Must be called before the next transition.
   * @param resultOf id of the effect whose result or timer is being handled; null for other messages
   */
  async settle(value: ActorValue, revision: number, resultOf: string | null): Promise<void> {
    if (value.outbox.length === 0) return;
    if (this.#published.get(actorKey(value.kind, value.id)) === revision) return;
    const lastPublished = resultOf === null ? -1 : value.outbox.findIndex((item) => orders(item, resultOf));
    const doubtful = value.outbox.slice(lastPublished + 1);
    if (doubtful.length === 0) return;
    if (!(await this.#parts.bus.isStored(streams.actors, value.cause))) return;
    await this.#publishItems(value, doubtful, 'old-outbox-item-published');
    this.remember(value, revision);
    await this.#parts.reach('old-outbox-published');
  }

  async #publishItems(value: ActorValue, items: readonly OutboxItem[], point: CrashPoint): Promise<void> {
    for (const item of items) {
      await this.#publishItem(value, item);
      await this.#parts.reach(point);
    }
  }

  async #publishItem(value: ActorValue, item: OutboxItem): Promise<void> {
    const { bus, claims } = this.#parts;
    const { kind, id } = value;
    switch (item.type) {
      case 'command': {
        const { effectId, input, issuedAt } = item;
        const message: CommandMessage = { effectId, replyTo: { kind, id }, input, issuedAt };
        const template = commandTemplateOf(item.subject);
        await bus.publish(item.subject, message, { messageId: effectId, template, ...placeOf(value) });
        return;
      }
      case 'timer': {
        const schedule = { at: new Date(item.atMs), target: subjects.actor(kind, id) };
        const message = { type: 'timer', effectId: item.effectId };
        await bus.publish(subjects.timer(kind, id, item.effectId), message, { messageId: item.effectId, schedule });
        return;
      }
      case 'cancel-timer':
        await bus.purge(streams.actors, subjects.timer(kind, id, item.effectId));
        return;
      case 'cancel-command':
        await claims.cancel(item.effectId);
        bus.publishCore(cancelSubject(item.effectId), {});
        return;
      case 'message':
        await bus.publish(subjects.actor(item.to.kind, item.to.id), item.message, {
          messageId: item.messageId,
          headers: messageHeaders(item),
          ...(item.message.type === 'result' ? {} : { template: subjects.actor(item.to.kind, '*'), ...placeOf(value) }),
        });
        return;
      case 'event':
        await bus.publish(item.subject, item.data as object, { messageId: item.messageId });
    }
  }
}

/**
 * Returns the parent context of published messages if the actor has spans. Without a parent, `publish` uses the span in
 * which the current message is handled.
 */
function placeOf(value: ActorValue): { parent?: StoredContext } {
  const context = value.spans === undefined ? null : contextOf(value);
  return context === null ? {} : { parent: context };
}
