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
import type { CommandMessage, Operation, Outcome } from '@coppice/contracts';
import { annotateSpan, attributes, createLogger, linkFrom } from '@coppice/telemetry';
import type { Bus } from './bus.ts';
import { Claims, cancelSubject, hashInput } from './claims.ts';
import { fitting, looseJson, reportOutcome } from './command-outcome.ts';
import type { Timing } from './command-outcome.ts';
import { CommandsInProgress } from './commands-in-progress.ts';
import type { InProgress } from './commands-in-progress.ts';
import type { Consumption, Delivery } from './consume.ts';
import { deadLetter } from './dead-letter.ts';
import { deliveriesOf, headersOfCopy, inDeliverySpan, queueWaitMs } from './delivery-span.ts';
import { ClaimLost, Draining, NotNow } from './errors.ts';
import { busLimits } from './limits.ts';
import type { Membership } from './members.ts';
import { untilAnswered } from './until-answered.ts';
import { validate } from './validate.ts';

/**
 * The service side of the command stream. It pulls commands, runs them, and sends each result to the inbox of the actor
 * that sent the command.
 *
 * Invariants:
 * 1. A command is acknowledged only after its result is stored in the actor's inbox or the command is stored as a dead
 *    letter.
 * 2. A claimed operation runs only under its claim. Its result is sent only if this process still held the claim at the
 *    end.
 * 3. A command that was cancelled before its start isn't started. If a command is cancelled later, this process tries
 *    to abort it, and the actor drops the result.
 * 4. A command is aborted when it exceeds its time limit. While it runs, its ack wait is renewed three times per ack
 *    wait.
 * 5. When this process stops, it aborts the commands that still run after `drainMs` and sends no result for them, so
 *    that another process runs them.
 * 6. Before a taken-over operation runs again, its handler checks whether the lost owner finished the operation. While
 *    the handler can't determine that, the command is retried later.
 * 7. This process starts a claimed command only while it is listed as a member. It continues only while it holds the
 *    claim (see commands-in-progress.ts).
 * 8. If the server is unreachable, this process keeps a handler's result for up to `answerWaitMsMax`. In that time the
 *    command counts as in progress.
 */
export type CommandContext = {
  effectId: string;
  /** Aborted when the time limit passes, the command is cancelled, this process stops, or the claim is lost. */
  signal: AbortSignal;
  /** True if a lost process had started the command. */
  takenOver: boolean;
  /** Time from the publish of the command to this delivery. The clocks of two hosts are compared, so it is inexact. */
  queuedMs: number;
  /**
   * Must be awaited before each step that has effects. Resolves when this process certainly holds the claim. Usually it
   * resolves at once. It waits if other processes may have judged this process lost since the last call.
   * @throws ClaimLost when another process has taken the command over
   */
  confirmClaim: () => Promise<void>;
};

export type CommandHandler = {
  operation: Operation;
  run(input: unknown, context: CommandContext): Promise<unknown>;
  /**
   * Called when a claim is taken over, before the operation's `lostOwner` policy applies. Returns the output if the
   * lost owner completed the command, else null. If this function throws, it is called again later.
   */
  recover: ((input: unknown, context: CommandContext) => Promise<unknown>) | undefined;
};

type Typed<Input, Output> = Operation & { input: { _zod: { output: Input } }; output: { _zod: { input: Output } } };

/**
 * An operation with its handler. If `run` throws a CoppiceError, the actor gets that error. Any other error becomes
 * `internal`.
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
  /** Pools from which commands are pulled: `any`, and the node's own pool for commands addressed to that node. */
  pools: string[];
  /** Maximum number of commands in progress at once, per pool. */
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
  readonly #commands: CommandsInProgress;
  readonly #consumptions: Consumption[] = [];
  #cancellations: { unsubscribe(): void } | null = null;

  constructor(bus: Bus, options: CommandServerOptions) {
    this.#bus = bus;
    this.#options = options;
    this.#commands = new CommandsInProgress(options.member);
    this.#claims = new Claims(bus, async (owner, effectId) =>
      owner === options.member.id ? !this.#commands.isClaimed(effectId) : await options.member.isLost(owner),
    );
  }

  async start(): Promise<void> {
    this.#cancellations = this.#bus.subscribeCore(cancelSubject('*'), (_data, subject) => {
      const effectId = subject.split('.').at(-1) ?? '';
      this.#commands.abort(effectId, new CoppiceError('cancelled', 'the task no longer wants this'));
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
    const deadline = setTimeout(() => this.#commands.drain(), busLimits.drainMs);
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
    // The actor's span is the parent, also for a redelivery. The link marks a redelivery.
    const links = deliveriesOf(delivery) > 1 ? linkFrom(delivery.headers['traceparent']) : [];
    const queuedMs = queueWaitMs(delivery);
    const startedAtMs = performance.now();
    await inDeliverySpan(delivery, { template, links }, async (failed) => {
      annotateSpan({ [attributes.coppiceEffectId]: command.effectId, ...ownerAttributes(command.input) });
      await this.#inProgress(delivery, command, async (running) => {
        const given = { delivery, command, handler, running };
        const outcome =
          handler.operation.repeat.kind === 'claimed'
            ? await this.#runClaimed(given)
            : await this.#runIdempotent(given);
        if (outcome === null) return;
        if (outcome.status === 'failed') failed(CoppiceError.fromWire(outcome.error));
        const workedMs = Math.round(performance.now() - startedAtMs);
        await this.#conclude(delivery, command, outcome, { queuedMs, workedMs });
      });
    });
  }

  async #inProgress(
    delivery: Delivery,
    command: CommandMessage,
    work: (running: InProgress) => Promise<void>,
  ): Promise<void> {
    const { effectId } = command;
    const running = this.#commands.begin(effectId);
    const heartbeat = setInterval(() => delivery.working(), this.#bus.lostAfterMs / 3);
    try {
      if (running === null) await this.#lookAgainLater(delivery, command);
      else await work(running);
    } catch (error) {
      if (error instanceof Draining) return delivery.retry();
      if (!(error instanceof ClaimLost)) throw error;
      log.warn({ effectId }, 'another process took this effect over; its result counts');
      await delivery.acknowledge();
    } finally {
      clearInterval(heartbeat);
      if (running !== null) this.#commands.end(effectId);
    }
  }

  async #runIdempotent(given: Given): Promise<Outcome | null> {
    const { effectId } = given.command;
    const found = await untilAnswered(() => this.#claims.look(effectId), this.#commands.drained);
    if (found?.claim.state === 'cancelled') return cancelledOutcome;
    return this.#run(given, false);
  }

  async #runClaimed(given: Given): Promise<Outcome | null> {
    const { delivery, command, running } = given;
    const { effectId } = command;
    const { member } = this.#options;
    const inputHash = hashInput(command.input);
    await member.listed(this.#commands.drained);
    running.claimedIn = member.epoch();
    const attempt = await this.#claims.begin(effectId, member.id, inputHash, this.#commands.drained);
    if (attempt.status === 'done') return attempt.outcome;
    if (attempt.status === 'cancelled') return cancelledOutcome;
    if (attempt.status === 'busy') {
      await this.#lookAgainLater(delivery, command);
      return null;
    }
    if (attempt.takenOver) annotateSpan({ [attributes.coppiceTakenOver]: true });
    running.claim = attempt.claim;
    await this.#commands.confirmClaim(running);
    const result = await this.#run(given, attempt.takenOver);
    if (result === null) return null;
    const outcome = fitting(result, busLimits.claimedResultBytesMax);
    await attempt.claim.finish(outcome, this.#commands.drained);
    return outcome;
  }

  /** Returns null if the command was returned to the queue without a result. @throws ClaimLost */
  async #run({ delivery, command, handler, running }: Given, takenOver: boolean): Promise<Outcome | null> {
    const { abort } = running;
    const context: CommandContext = {
      effectId: command.effectId,
      signal: abort.signal,
      takenOver,
      queuedMs: queueWaitMs(delivery),
      confirmClaim: () => this.#commands.confirmClaim(running),
    };
    const { operation } = handler;
    const timeLimit = setTimeout(() => {
      const text = `${operation.service} ${operation.name} took longer than ${operation.timeLimitMs} ms`;
      abort.abort(new CoppiceError('deadline-exceeded', text));
    }, operation.timeLimitMs);
    try {
      return { status: 'done', output: await this.#perform(command, handler, context) };
    } catch (thrown) {
      const error: unknown = abort.signal.aborted ? abort.signal.reason : thrown;
      if (error instanceof ClaimLost || error instanceof Draining) throw error;
      if (error instanceof NotKnownYet || error instanceof NotNow) {
        if (error instanceof NotKnownYet) log.warn({ err: error, effectId: command.effectId }, 'looking again later');
        await this.#lookAgainLater(delivery, command);
        return null;
      }
      if (!(error instanceof CoppiceError))
        log.error({ err: error, effectId: command.effectId }, `${operation.name} failed`);
      return { status: 'failed', error: toWireError(error) };
    } finally {
      clearTimeout(timeLimit);
    }
  }

  async #perform(command: CommandMessage, handler: CommandHandler, context: CommandContext): Promise<unknown> {
    const { operation } = handler;
    const input = validate(operation.input, command.input, `input of ${operation.name}`);
    if (context.takenOver) {
      const recovered = await handler.recover?.(input, context).catch((cause: unknown) => {
        const text = `can't find out now whether a lost process had done ${operation.name}`;
        throw new NotKnownYet(text, { cause });
      });
      if (recovered !== undefined && recovered !== null) return recovered;
      if (operation.repeat.kind === 'claimed' && operation.repeat.lostOwner === 'unknown') {
        throw new CoppiceError(
          'unknown',
          `the process that did ${operation.name} was lost before it reported its result`,
        );
      }
    }
    return validate(operation.output, await handler.run(input, context), `output of ${operation.name}`);
  }

  async #conclude(delivery: Delivery, command: CommandMessage, outcome: Outcome, timing: Timing = {}): Promise<void> {
    await reportOutcome(this.#bus, command, outcome, { timing, signal: this.#commands.drained });
    await delivery.acknowledge();
  }

  /**
   * Redelivers the command later. Publishes a scheduled copy, since a redelivery after a nak would count towards the
   * delivery limit.
   */
  async #lookAgainLater(delivery: Delivery, command: CommandMessage): Promise<void> {
    const inMs = Math.min(busLimits.commandOwnerAliveRetryMs, this.#bus.lostAfterMs / 3);
    const later = subjects.commandLater(this.#options.service, command.effectId);
    // The publish is retried, since a redelivery of the original would count towards the delivery limit. A second copy
    // replaces the first.
    await untilAnswered(
      () =>
        this.#bus.publish(later, delivery.data, {
          schedule: { at: new Date(Date.now() + inMs), target: delivery.subject },
          headers: headersOfCopy(delivery),
        }),
      this.#commands.drained,
    );
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

/**
 * The handler can't determine yet whether a lost owner did its work. This isn't reported as a failure, since the actor
 * would then request work again that may be done.
 */
class NotKnownYet extends Error {
  override readonly name = 'NotKnownYet';
}

type Given = { delivery: Delivery; command: CommandMessage; handler: CommandHandler; running: InProgress };
/** Returns span attributes for the command's owner, or none if the operation's input has no owner. */
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
