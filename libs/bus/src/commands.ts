import {
  CoppiceError,
  commandAgeMsMax,
  commandConsumer,
  commandMessageSchema,
  ownerSchema,
  streams,
  subjects,
  toWireError,
} from '@coppice/contracts';
import type { ActorMessage, CommandMessage, Operation, Outcome } from '@coppice/contracts';
import { annotateSpan, attributes, createLogger, linkFrom } from '@coppice/telemetry';
import type { Bus } from './bus.ts';
import { Claims, cancelSubject, hashInput } from './claims.ts';
import type { Consumption, Delivery } from './consume.ts';
import { deadLetter } from './dead-letter.ts';
import { deliveriesOf, headersOfCopy, inDeliverySpan, queueWaitMs } from './delivery-span.ts';
import { Draining, NotNow, RevisionConflict } from './errors.ts';
import { busLimits } from './limits.ts';
import type { Membership } from './members.ts';
import { validate } from './validate.ts';

/**
 * A service's side of the command stream: pulls commands, does them, sends the results to the inboxes of the actors that ordered them.
 *
 * Invariants:
 * 1. A command is acknowledged only after its result is stored in the inbox, or after it was stored as a dead letter.
 * 2. A claimed operation runs only under its claim, and its result is told only if the claim was still ours at the end.
 * 3. What was cancelled before it began doesn't begin. What is cancelled later is aborted, best effort; its result is dropped by the actor.
 * 4. A command never runs longer than its time limit. While it runs its ack wait is renewed at a third.
 * 5. Work that a stopping process aborts is given back without a result.
 * 6. Whether a lost owner had finished is looked for until that is known: where it can't be looked for now, the command is given back.
 */
export type CommandContext = {
  effectId: string;
  /** Aborted by the time limit, by cancellation, or since this process stops. */
  signal: AbortSignal;
  /** A lost process had begun it. */
  takenOver: boolean;
  /** How long the command lay in its queue before this delivery, in milliseconds; both clocks count. */
  queuedMs: number;
};

export type CommandHandler = {
  operation: Operation;
  run(input: unknown, context: CommandContext): Promise<unknown>;
  /** Asked before the lost-owner policy when a claim is taken over: the output, if the lost owner had got that far, else null. One that throws is asked again later. */
  recover: ((input: unknown, context: CommandContext) => Promise<unknown>) | undefined;
};

type Typed<Input, Output> = Operation & { input: { _zod: { output: Input } }; output: { _zod: { input: Output } } };

/**
 * An operation with what does it. `run` throws CoppiceError for a failure that the actor is told as it is; anything else is told as `internal`.
 */
export const handle = <Input, Output>(
  operation: Typed<Input, Output>,
  run: (input: Input, context: CommandContext) => Promise<Output>,
  recover?: (input: Input, context: CommandContext) => Promise<Output | null>,
): CommandHandler => ({
  operation,
  run,
  recover: recover as CommandHandler['recover'],
});

export type CommandServerOptions = {
  service: Operation['service'];
  /** `any`, and the node's name where commands are addressed to a node. */
  pools: string[];
  /** Commands in progress at once, over all pools; each pool can use up to this many. */
  concurrency: number;
  member: Membership;
  handlers: CommandHandler[];
};

export type CommandServer = { stop(): Promise<void> };

const log = createLogger('bus');

export async function serveCommands(bus: Bus, options: CommandServerOptions): Promise<CommandServer> {
  const server = new RunningCommandServer(bus, options);
  await server.start();
  return server;
}

class RunningCommandServer implements CommandServer {
  readonly #bus: Bus;
  readonly #options: CommandServerOptions;
  readonly #claims: Claims;
  readonly #running = new Map<string, AbortController>();
  readonly #consumptions: Consumption[] = [];
  #cancellations: { unsubscribe(): void } | null = null;

  constructor(bus: Bus, options: CommandServerOptions) {
    this.#bus = bus;
    this.#options = options;
    this.#claims = new Claims(bus, async (owner, effectId) =>
      owner === options.member.id ? !this.#running.has(effectId) : !(await options.member.isMember(owner)),
    );
  }

  async start(): Promise<void> {
    this.#cancellations = this.#bus.subscribeCore(cancelSubject('*'), (_data, subject) => {
      const effectId = subject.split('.').at(-1) ?? '';
      this.#running.get(effectId)?.abort(new CoppiceError('cancelled', 'the task no longer wants this'));
    });
    const { service, pools, concurrency } = this.#options;
    for (const pool of pools) {
      const consumption = await this.#bus.consume(
        {
          stream: streams.commands,
          durable: commandConsumer(service, pool),
          filterSubject: subjects.command(service, pool, '*'),
          ackWaitMs: this.#bus.lostAfterMs,
          concurrency,
        },
        (delivery) => this.#receive(delivery),
      );
      this.#consumptions.push(consumption);
    }
  }

  async stop(): Promise<void> {
    const deadline = setTimeout(() => {
      for (const running of this.#running.values()) running.abort(new Draining());
    }, busLimits.drainMs);
    await Promise.all(this.#consumptions.map((consumption) => consumption.stop()));
    clearTimeout(deadline);
    this.#cancellations?.unsubscribe();
  }

  async #receive(delivery: Delivery): Promise<void> {
    if (delivery.deliveryCount > busLimits.commandDeliveriesMax) {
      const text = `given up on after ${busLimits.commandDeliveriesMax} deliveries`;
      return this.#giveUp(delivery, new CoppiceError('delivery-limit', text));
    }
    let command: CommandMessage;
    try {
      command = validate(commandMessageSchema, delivery.json(), 'command');
    } catch (error) {
      return this.#giveUp(delivery, error);
    }
    if (Date.now() - Date.parse(command.issuedAt) > commandAgeMsMax) {
      return this.#giveUp(delivery, new CoppiceError('expired', 'the command is older than 7 days'));
    }
    await this.#process(delivery, command);
  }

  async #process(delivery: Delivery, command: CommandMessage): Promise<void> {
    const name = delivery.subject.split('.').at(-1) ?? '';
    const handler = this.#options.handlers.find((each) => each.operation.name === name);
    if (handler === undefined) {
      const text = `${this.#options.service} has no operation ${name}; is it older than the orchestrator?`;
      return this.#conclude(delivery, command, {
        status: 'failed',
        error: toWireError(new CoppiceError('not-found', text)),
      });
    }
    const template = subjects.command(this.#options.service, '*', name);
    // Its sender is the actor that ordered it. A redelivery is a child of the same, with a link that says that it repeats.
    const links = deliveriesOf(delivery) > 1 ? linkFrom(delivery.headers['traceparent']) : [];
    const queuedMs = queueWaitMs(delivery);
    const startedAtMs = performance.now();
    await inDeliverySpan(delivery, { template, links }, async (failed) => {
      annotateSpan({ [attributes.coppiceEffectId]: command.effectId, ...ownerAttributes(command.input) });
      const outcome =
        handler.operation.repeat.kind === 'claimed'
          ? await this.#runClaimed(delivery, command, handler)
          : await this.#runIdempotent(delivery, command, handler);
      if (outcome === null) return;
      if (outcome.status === 'failed') failed(CoppiceError.fromWire(outcome.error));
      const workedMs = Math.round(performance.now() - startedAtMs);
      await this.#conclude(delivery, command, outcome, { queuedMs, workedMs });
    });
  }

  async #runIdempotent(delivery: Delivery, command: CommandMessage, handler: CommandHandler): Promise<Outcome | null> {
    const found = await this.#claims.look(command.effectId);
    if (found?.claim.state === 'cancelled') return cancelledOutcome;
    return this.#run(delivery, command, handler, false);
  }

  async #runClaimed(delivery: Delivery, command: CommandMessage, handler: CommandHandler): Promise<Outcome | null> {
    const { effectId } = command;
    const inputHash = hashInput(command.input);
    const attempt = await this.#claims.begin(effectId, this.#options.member.id, inputHash);
    if (attempt.status === 'done') return attempt.outcome;
    if (attempt.status === 'cancelled') return cancelledOutcome;
    if (attempt.status === 'busy') {
      await this.#lookAgainLater(delivery, command);
      return null;
    }
    if (attempt.takenOver) annotateSpan({ [attributes.coppiceTakenOver]: true });
    const result = await this.#run(delivery, command, handler, attempt.takenOver);
    if (result === null) return null;
    const outcome = fitting(result, busLimits.claimedResultBytesMax);
    try {
      await this.#claims.finish(effectId, attempt.revision, inputHash, outcome);
    } catch (error) {
      if (!(error instanceof RevisionConflict)) throw error;
      log.warn({ effectId }, 'another process took this effect over; its result counts');
      await delivery.acknowledge();
      return null;
    }
    return outcome;
  }

  /** Null when the work was given back. */
  async #run(
    delivery: Delivery,
    command: CommandMessage,
    handler: CommandHandler,
    takenOver: boolean,
  ): Promise<Outcome | null> {
    const abort = new AbortController();
    const context: CommandContext = {
      effectId: command.effectId,
      signal: abort.signal,
      takenOver,
      queuedMs: queueWaitMs(delivery),
    };
    const { operation } = handler;
    const timeLimit = setTimeout(() => {
      const text = `${operation.service} ${operation.name} took longer than ${operation.timeLimitMs} ms`;
      abort.abort(new CoppiceError('deadline-exceeded', text));
    }, operation.timeLimitMs);
    const heartbeat = setInterval(() => delivery.working(), this.#bus.lostAfterMs / 3);
    this.#running.set(command.effectId, abort);
    try {
      return { status: 'done', output: await this.#perform(command, handler, context) };
    } catch (thrown) {
      const error: unknown = abort.signal.aborted ? abort.signal.reason : thrown;
      if (error instanceof NotKnownYet || error instanceof NotNow) {
        if (error instanceof NotKnownYet) log.warn({ err: error, effectId: command.effectId }, 'looking again later');
        await this.#lookAgainLater(delivery, command);
        return null;
      }
      if (error instanceof Draining) {
        delivery.retry();
        return null;
      }
      if (!(error instanceof CoppiceError))
        log.error({ err: error, effectId: command.effectId }, `${operation.name} failed`);
      return { status: 'failed', error: toWireError(error) };
    } finally {
      clearTimeout(timeLimit);
      clearInterval(heartbeat);
      this.#running.delete(command.effectId);
    }
  }

  async #perform(command: CommandMessage, handler: CommandHandler, context: CommandContext): Promise<unknown> {
    const { operation } = handler;
    const input = validate(operation.input, command.input, `input of ${operation.name}`);
    if (context.takenOver) {
      const recovered = await handler.recover?.(input, context).catch((cause: unknown) => {
        const text = `whether a lost process had done ${operation.name} can't be looked for now`;
        throw new NotKnownYet(text, { cause });
      });
      if (recovered !== undefined && recovered !== null) return recovered;
      if (operation.repeat.kind === 'claimed' && operation.repeat.lostOwner === 'unknown') {
        throw new CoppiceError(
          'unknown',
          `the process that did ${operation.name} was lost before it told how it ended`,
        );
      }
    }
    return validate(operation.output, await handler.run(input, context), `output of ${operation.name}`);
  }

  async #conclude(delivery: Delivery, command: CommandMessage, outcome: Outcome, timing: Timing = {}): Promise<void> {
    await tellOutcome(this.#bus, command, outcome, timing);
    await delivery.acknowledge();
  }

  /** The owner is alive, so this is a redelivery that came too early; or what became of it can't be looked for now. A delayed nak would count towards the delivery limit. */
  async #lookAgainLater(delivery: Delivery, command: CommandMessage): Promise<void> {
    await this.#bus.publish(subjects.commandLater(this.#options.service, command.effectId), delivery.data, {
      schedule: { at: new Date(Date.now() + busLimits.commandOwnerAliveRetryMs), target: delivery.subject },
      headers: headersOfCopy(delivery),
    });
    await delivery.acknowledge();
  }

  async #giveUp(delivery: Delivery, error: unknown): Promise<void> {
    await deadLetter(this.#bus, delivery, this.#options.service, error);
    const parsed = commandMessageSchema.safeParse(looseJson(delivery.data));
    if (parsed.success) {
      const outcome: Outcome = { status: 'failed', error: toWireError(error) };
      return this.#conclude(delivery, parsed.data, outcome);
    }
    delivery.terminate('dead-lettered');
  }
}

/** Told as a failure, the work would be ordered again though it may be done. */
class NotKnownYet extends Error {
  override readonly name = 'NotKnownYet';
}

type Timing = { queuedMs?: number; workedMs?: number };

async function tellOutcome(bus: Bus, command: CommandMessage, outcome: Outcome, timing: Timing = {}): Promise<void> {
  const { effectId, replyTo } = command;
  const result: ActorMessage = {
    type: 'result',
    effectId,
    outcome: fitting(outcome, busLimits.resultBytesMax),
    ...timing,
  };
  await bus.publish(subjects.actor(replyTo.kind, replyTo.id), result, { messageId: `${effectId}-result` });
}

/** Answers each command of a pool as failed with the same error, in the place of processes that are gone for good. */
export function refuseCommands(
  bus: Bus,
  { service, pool, error }: { service: Operation['service']; pool: string; error: CoppiceError },
): Promise<Consumption> {
  const outcome: Outcome = { status: 'failed', error: toWireError(error) };
  const consumer = { stream: streams.commands, durable: commandConsumer(service, pool) };
  const filterSubject = subjects.command(service, pool, '*');
  return bus.consume({ ...consumer, filterSubject, ackWaitMs: bus.lostAfterMs, concurrency: 1 }, async (delivery) => {
    const command = commandMessageSchema.safeParse(looseJson(delivery.data));
    if (command.success) await tellOutcome(bus, command.data, outcome);
    else await deadLetter(bus, delivery, service, error);
    await delivery.acknowledge();
  });
}

/** Whose command it is; not every operation's input tells. */
function ownerAttributes(input: unknown): Record<string, string> {
  const owner = ownerSchema.safeParse((input as { owner?: unknown } | null)?.owner);
  if (!owner.success) return {};
  const { tenant, runId, taskId } = owner.data;
  return {
    [attributes.coppiceTenant]: tenant,
    [attributes.coppiceRunId]: runId,
    [attributes.coppiceTaskId]: taskId,
  };
}

const cancelledOutcome: Outcome = {
  status: 'failed',
  error: { code: 'cancelled', message: 'cancelled before it began', retryable: false },
};

/** What no try can tell is a failure that says so. */
function fitting(outcome: Outcome, bytesMax: number): Outcome {
  if (outcome.status === 'failed') return outcome;
  const bytes = Buffer.byteLength(JSON.stringify(outcome.output) ?? '');
  if (bytes <= bytesMax) return outcome;
  const text = `a result of ${bytes} bytes is over the limit of ${bytesMax}`;
  return { status: 'failed', error: toWireError(new CoppiceError('limit-exceeded', text)) };
}

function looseJson(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch {
    // Not JSON: then there is nobody to tell.
    return null;
  }
}
