import { cancelSubject } from '@coppice/bus';
import { commandTemplateOf, streams, subjects } from '@coppice/contracts';
import type { CommandMessage } from '@coppice/contracts';
import type { StoredContext } from '@coppice/telemetry';
import type { CrashPoint } from './crash-points.ts';
import type { HostParts } from './host-parts.ts';
import { orders } from './map-actions.ts';
import { messageHeaders } from './message-headers.ts';
import { contextOf } from './spans.ts';
import { actorKey } from './value.ts';
import type { ActorValue, OutboxItem } from './value.ts';

/**
 * Publishes outboxes, and knows which are published.
 *
 * Invariants:
 * 2. Only what is stored is published, in order. The message that caused it is acknowledged afterwards, never before.
 * 3. A stored outbox isn't cleared by a write of its own: the next transition's write leaves it out. Until then it counts as published on any of
 *    three evidences: this host has published that very revision; a result came for one of its effects (then that item and all before it are
 *    out); or the message that caused it is no longer in the inbox, so that its handler, which acknowledges last, had got through.
 *    Without evidence it is published again: within the dedupe window the server drops it, later its receivers do, by effect or message id.
 * 4. What is published again may by then be cancelled by a newer owner, or done: receivers are built for that (see claims).
 */
export class Dispatcher {
  readonly #parts: HostParts;
  /** Actor key → revision whose outbox this host has published. Oldest first; bounded. */
  readonly #published = new Map<string, number>();

  constructor(parts: HostParts) {
    this.#parts = parts;
  }

  /** Publishes a value's whole outbox, which is stored at this revision. */
  async publish(value: ActorValue, revision: number): Promise<void> {
    await this.#publishItems(value, value.outbox, 'outbox-item-published');
    this.remember(value, revision);
  }

  remember(value: ActorValue, revision: number): void {
    const key = actorKey(value.kind, value.id);
    this.#published.delete(key);
    this.#published.set(key, revision);
    if (this.#published.size <= this.#parts.limits.rememberedDispatchesMax) return;
    const oldest = this.#published.keys().next();
    if (oldest.done !== true) this.#published.delete(oldest.value);
  }

  /**
   * Makes sure that a stored outbox is out before anything new happens to the actor.
   * @param resultOf the effect whose result or timer has just come, null for other messages.
   */
  async settle(value: ActorValue, revision: number, resultOf: string | null): Promise<void> {
    if (value.outbox.length === 0) return;
    if (this.#published.get(actorKey(value.kind, value.id)) === revision) return;
    const proven = resultOf === null ? -1 : value.outbox.findIndex((item) => orders(item, resultOf));
    const doubtful = value.outbox.slice(proven + 1);
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

/** What an actor with spans of its own orders belongs to the state that it has come to; another's to what it handles. */
function placeOf(value: ActorValue): { parent?: StoredContext } {
  const context = value.spans === undefined ? null : contextOf(value);
  return context === null ? {} : { parent: context };
}
