import { randomBytes } from 'node:crypto';
import { RevisionConflict } from '@coppice/bus';
import type { Delivery } from '@coppice/bus';
import { CoppiceError, actorMessageSchema, actorOf, toWireError } from '@coppice/contracts';
import type { ActorMessage, Outcome, WireError } from '@coppice/contracts';
import { injectTrace } from '@coppice/telemetry';
import { tryAgainLater } from './absent-actor.ts';
import type { ActorStore } from './actor-store.ts';
import type { ActorDefinition } from './definition.ts';
import type { Dispatcher } from './dispatch.ts';
import { TooLarge, TooMuchContention, Unrestorable } from './errors.ts';
import { deliveryLimitError, giveUp, reportFailure } from './give-up.ts';
import type { HostParts, StoredChange } from './host-parts.ts';
import { inActorSpan } from './in-actor-span.ts';
import { actorLimits } from './limits.ts';
import { headerNames, requestOf } from './message-headers.ts';
import { mayUnpark } from './park.ts';
import type { Parking } from './park.ts';
import { receive } from './receive.ts';
import type { Decision, Incoming } from './receive.ts';
import { exportEnded, trackSpans } from './spans.ts';
import type { ActorValue, Answer } from './value.ts';

/**
 * Handles one message of an actor's inbox, from its delivery to its acknowledgement.
 *
 * Invariant 2: a handler takes these steps in this order:
 * 1. It reads the value and the value's revision.
 * 2. It publishes the items of the stored outbox that may be unpublished.
 * 3. It computes the transition, which is pure.
 * 4. It writes the new value if the stored revision is still the same. Otherwise it starts again, up to
 *    `compareAndSetAttemptsMax` times.
 * 5. It publishes the new outbox. An item is published only after the value that contains it is stored.
 * 6. It answers senders.
 * 7. It acknowledges the message.
 *
 * A process may die between any two steps. The next delivery then repeats some steps, which does no harm.
 * Invariant 9: the delivery count is checked before the message is parsed.
 * Invariant 10: any number of handlers may work on one actor. The compare-and-set decides which handler continues.
 */
type Stored = { value: ActorValue; revision: number };
type Attempt = { definition: ActorDefinition; id: string; delivery: Delivery; incoming: Incoming };

export class MessageHandler {
  readonly #parts: HostParts;
  readonly #store: ActorStore;
  readonly #dispatcher: Dispatcher;
  readonly #parking: Parking;

  constructor(parts: HostParts, store: ActorStore, dispatcher: Dispatcher, parking: Parking) {
    this.#parts = parts;
    this.#store = store;
    this.#dispatcher = dispatcher;
    this.#parking = parking;
  }

  async handle(definition: ActorDefinition, delivery: Delivery): Promise<void> {
    const { id } = actorOf(delivery.subject);
    const { limits, reach } = this.#parts;
    await reach('message-received');
    if (delivery.deliveryCount > limits.deliveriesMax) {
      if (await this.#isStored(definition, id, delivery)) return delivery.acknowledge();
      return this.#giveUp(definition, id, delivery, deliveryLimitError(delivery.deliveryCount - 1));
    }
    const message = parse(delivery);
    if (message instanceof CoppiceError) return this.#giveUp(definition, id, delivery, message);
    if (message.type === 'create' && this.#parts.nowMs() - Date.parse(message.issuedAt) > actorLimits.createAgeMsMax) {
      return this.#giveUp(
        definition,
        id,
        delivery,
        new CoppiceError('expired', `a create of ${message.issuedAt} is too old`),
      );
    }
    const attempt: Attempt = { definition, id, delivery, incoming: incomingOf(message, delivery) };
    for (let tries = 0; tries < limits.compareAndSetAttemptsMax; tries++) {
      try {
        return await this.#attempt(attempt);
      } catch (error) {
        if (!(error instanceof RevisionConflict)) throw error;
      }
    }
    throw new TooMuchContention(
      `${definition.kind} ${id} was written by others ${limits.compareAndSetAttemptsMax} times`,
    );
  }

  /** @throws RevisionConflict if the value has changed since it was read */
  async #attempt(attempt: Attempt): Promise<void> {
    const { definition, id } = attempt;
    const entry = await this.#store.read(definition.kind, id);
    await this.#parts.reach('value-read');
    if (entry === null) return inActorSpan(attempt, null, () => this.#advance(attempt, null));
    try {
      const stored = this.#parking.decode(entry.bytes);
      if (stored.type === 'parked') {
        if (!mayUnpark(definition, stored.parked)) return await this.#stash(attempt);
        await this.#parking.unpark(definition, id);
        return await this.#attempt(attempt);
      }
      const { value } = stored;
      if (value.unstash === true) await this.#parking.replayStash(definition.kind, id);
      return await inActorSpan(attempt, value, () => this.#advance(attempt, { value, revision: entry.revision }));
    } catch (error) {
      if (!(error instanceof Unrestorable)) throw error;
      await this.#park(attempt, entry, error);
    }
  }

  /** Parks the actor and stashes the message. If the actor is already parked, only its note is replaced. */
  async #park(attempt: Attempt, entry: { bytes: Uint8Array; revision: number }, error: Unrestorable): Promise<void> {
    const { definition, id } = attempt;
    let original = entry.bytes;
    try {
      const stored = this.#parking.decode(entry.bytes);
      if (stored.type === 'parked') original = stored.original;
    } catch {
      // The bytes are corrupt, so they are parked unchanged.
    }
    await this.#parking.park(definition, id, original, entry.revision, error);
    await this.#stash(attempt);
  }

  /** If the sender waits for an answer, the answer reports that the event is deferred. */
  async #stash({ definition, id, delivery, incoming: { message } }: Attempt): Promise<void> {
    await this.#parking.stash(definition, id, delivery);
    if (message.type !== 'event' || message.answerTo === undefined) return;
    const kept: Outcome = { status: 'done', output: { state: 'parked', deferred: true } };
    this.#parts.bus.publishCore(message.answerTo, kept);
  }

  async #advance(attempt: Attempt, stored: Stored | null): Promise<void> {
    const { message } = attempt.incoming;
    if (stored !== null) {
      const resultOf = message.type === 'result' || message.type === 'timer' ? message.effectId : null;
      await this.#dispatcher.settle(stored.value, stored.revision, resultOf);
    }
    const decision = this.#decide(attempt, stored);
    await this.#parts.reach('transition-computed');
    if (decision.type === 'absent') return this.#notYet(attempt);
    if (decision.type === 'drop') {
      // An earlier delivery of this message stored the value. Its handler may have died before it exported the ended
      // spans.
      if (stored?.value.cause === attempt.delivery.sequence) exportEnded(stored.value);
      return this.#drop(attempt, decision);
    }
    try {
      await this.#conclude(attempt, stored, decision);
    } catch (error) {
      if (!(error instanceof TooLarge)) throw error;
      await this.#tooLarge(attempt, stored, error);
    }
  }

  #decide({ definition, id, incoming }: Attempt, stored: Stored | null): Decision {
    return receive(definition, id, stored?.value ?? null, incoming, this.#parts.nowMs(), newIncarnation);
  }

  async #conclude(
    attempt: Attempt,
    stored: Stored | null,
    decision: Extract<Decision, { type: 'store' }>,
  ): Promise<void> {
    const { delivery } = attempt;
    const { value, answers } = decision;
    value.cause = delivery.sequence;
    trackSpans(value, decision.spans, { handling: injectTrace({}), sender: delivery.headers['traceparent'] });
    const revision = await this.#store.write(value, stored?.revision ?? null);
    this.#parts.onStored(changeOf(stored?.value ?? null, value));
    await this.#parts.reach('state-stored');
    await this.#dispatcher.publish(value, revision);
    await this.#parts.reach('outbox-published');
    exportEnded(value);
    await this.#answerAndAcknowledge(delivery, answers);
  }

  async #drop(attempt: Attempt, decision: Extract<Decision, { type: 'drop' }>): Promise<void> {
    const { definition, id, delivery, incoming } = attempt;
    const { refused, answers, reason } = decision;
    if (refused !== null) {
      await reportFailure(this.#parts, refused.request, { status: 'failed', error: refused.error });
      await this.#parts.reach('refusal-published');
    }
    this.#parts.log.debug({ kind: definition.kind, id, type: incoming.message.type, reason }, 'message dropped');
    await this.#answerAndAcknowledge(delivery, answers);
  }

  async #answerAndAcknowledge(delivery: Delivery, answers: readonly Answer[]): Promise<void> {
    for (const { answerTo, outcome } of answers) this.#parts.bus.publishCore(answerTo, outcome);
    await this.#parts.reach('senders-answered');
    await delivery.acknowledge();
    await this.#parts.reach('message-acknowledged');
  }

  async #notYet({ definition, id, delivery, incoming }: Attempt): Promise<void> {
    if (incoming.message.type !== 'event') throw new Error('only events wait for their actor');
    const later = await tryAgainLater(this.#parts, definition.kind, id, incoming.message.messageId, delivery);
    if (later !== 'copied') return this.#giveUp(definition, id, delivery, later);
    await delivery.acknowledge();
  }

  /**
   * Handles a message whose new value would be over a limit. An event or `create` is rejected. A successful result is
   * replaced by a failed result, which is smaller. For all other messages the actor is parked, so that the message
   * isn't lost.
   * @throws Unrestorable if the actor must be parked
   */
  async #tooLarge(attempt: Attempt, stored: Stored | null, cause: TooLarge): Promise<void> {
    const { incoming, definition, id, delivery } = attempt;
    const { message, request } = incoming;
    const error: WireError = toWireError(new CoppiceError('limit-exceeded', cause.message));
    if (stored === null) return this.#giveUp(definition, id, delivery, CoppiceError.fromWire(error));
    if (message.type === 'event' || message.type === 'create') {
      const answers =
        message.type === 'event' && message.answerTo !== undefined
          ? [{ answerTo: message.answerTo, outcome: failed(error) }]
          : [];
      const refused = request === null ? null : { request, error };
      return this.#drop(attempt, { type: 'drop', reason: cause.message, answers, refused });
    }
    if (message.type === 'result' && message.outcome.status === 'done') {
      const smaller: ActorMessage = { ...message, outcome: failed(error) };
      return this.#advance({ ...attempt, incoming: { ...incoming, message: smaller } }, stored);
    }
    throw new Unrestorable('limit-exceeded', cause.message);
  }

  /**
   * Returns true if this message caused the actor's last transition. The transition is then stored, so this method
   * publishes the rest of its outbox. Such a message never becomes a dead letter, since the effects of a stored state
   * must not be lost.
   */
  async #isStored(definition: ActorDefinition, id: string, delivery: Delivery): Promise<boolean> {
    const entry = await this.#store.read(definition.kind, id);
    const value = entry === null ? null : this.#parking.readable(entry.bytes);
    if (entry === null || value === null || value.cause !== delivery.sequence) return false;
    await this.#dispatcher.settle(value, entry.revision, null);
    exportEnded(value);
    return true;
  }

  async #giveUp(definition: ActorDefinition, id: string, delivery: Delivery, reason: CoppiceError): Promise<void> {
    const left = await giveUp(this.#parts, definition.kind, id, delivery, reason);
    if (left === 'park') {
      const entry = await this.#store.read(definition.kind, id);
      if (entry !== null && this.#parking.readable(entry.bytes)?.status === 'active') {
        const message = `a result or timer could not be handled: ${reason.message}`;
        await this.#parking.park(definition, id, entry.bytes, entry.revision, {
          parkCode: 'transition-failed',
          message,
        });
        await this.#parking.stash(definition, id, delivery);
        return;
      }
    }
    delivery.terminate('dead-lettered');
  }
}

function parse(delivery: Delivery): ActorMessage | CoppiceError {
  try {
    const parsed = actorMessageSchema.safeParse(delivery.json());
    if (parsed.success) return parsed.data;
    return new CoppiceError('invalid-request', `not an actor's message: ${parsed.error.message}`);
  } catch (error) {
    return new CoppiceError('invalid-request', 'not JSON', { cause: error });
  }
}

const incomingOf = (message: ActorMessage, { headers }: Delivery): Incoming => ({
  message,
  request: requestOf(headers),
  cancels: headers[headerNames.cancels] ?? null,
});

const changeOf = (before: ActorValue | null, after: ActorValue): StoredChange => ({
  kind: after.kind,
  before: before?.snapshot?.context ?? null,
  events: after.outbox.flatMap((item) => (item.type === 'event' ? [item.data] : [])),
});

const failed = (error: WireError) => ({ status: 'failed' as const, error });

/** Returns a random id of 60 bits. It keeps effect ids unique when an actor is created again with the same address. */
const newIncarnation = (): string => randomBytes(8).toString('hex').slice(0, 15);
