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
 * Publishes outboxes and tracks which ones are published.
 *
 * Invariants:
 * 2. Only items of a stored outbox are published, in order. The message that caused them is acknowledged only after that.
 * 3. No separate write clears a stored outbox: the next transition's write leaves it out. Until then, the outbox counts as published if this host has published
 *    that revision, or if the message that caused the outbox is no longer in the inbox (its handler acknowledges last). If the result of one of the outbox's
 *    effects arrives, that effect's item and all earlier items count as published. All other items are published again. The server drops duplicates within the
 *    dedupe window; later, receivers drop them by effect or message id.
 * 4. When an item is published again, another host may have cancelled its effect in the meantime, or the effect may be done. Receivers handle both (see
 *    claims).
 */
export class Dispatcher {
  readonly #parts: HostParts;
  /** Actor key → revision whose outbox this host has published. */
  readonly #published: LRUCache<string, number>;

  constructor(parts: HostParts) {
    this.#parts = parts;
    this.#published = new LRUCache({ max: parts.limits.rememberedDispatchesMax });
  }

  /** Publishes the whole outbox of a value that is stored at this revision. */
  async publish(value: ActorValue, revision: number): Promise<void> {
    await this.#publishItems(value, value.outbox, 'outbox-item-published');
    this.remember(value, revision);
  }

  remember(value: ActorValue, revision: number): void {
    this.#published.set(actorKey(value.kind, value.id), revision);
  }

  /**
   * Publishes the items of a stored outbox that may be unpublished, before the next transition.
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
 * Returns the parent span of published messages. If the actor has its own spans, this is the span of its current state. Otherwise nothing is returned, and the
 * parent is the span in which the current message is handled.
 */
function placeOf(value: ActorValue): { parent?: StoredContext } {
  const context = value.spans === undefined ? null : contextOf(value);
  return context === null ? {} : { parent: context };
}
