import {
  CoppiceError,
  commandConsumer,
  commandMessageSchema,
  streams,
  subjects,
  toWireError,
} from '@coppice/contracts';
import type { ActorMessage, CommandMessage, Operation, Outcome } from '@coppice/contracts';
import type { Bus } from './bus.ts';
import type { Consumption } from './consume.ts';
import { deadLetter } from './dead-letter.ts';
import { busLimits } from './limits.ts';
import { untilAnswered } from './until-answered.ts';

export type Timing = { queuedMs?: number; workedMs?: number };

/**
 * Sends a command's outcome to the inbox of the actor that sent the command. Retries while the server doesn't answer.
 * @throws the signal's reason
 */
export async function reportOutcome(
  bus: Bus,
  command: CommandMessage,
  outcome: Outcome,
  { timing = {}, signal }: { timing?: Timing; signal?: AbortSignal } = {},
): Promise<void> {
  const { effectId, replyTo } = command;
  const result: ActorMessage = {
    type: 'result',
    effectId,
    outcome: fitting(outcome, busLimits.resultBytesMax),
    ...timing,
  };
  const to = subjects.actor(replyTo.kind, replyTo.id);
  // The server drops duplicates within its deduplication window, and the actor drops later ones.
  await untilAnswered(() => bus.publish(to, result, { messageId: `${effectId}-result` }), signal);
}

/** Answers every command of a pool with the same error. Used when no process will serve the pool again. */
export function refuseCommands(
  bus: Bus,
  { service, pool, error }: { service: Operation['service']; pool: string; error: CoppiceError },
): Promise<Consumption> {
  const outcome: Outcome = { status: 'failed', error: toWireError(error) };
  const consumer = { stream: streams.commands, durable: commandConsumer(service, pool) };
  const filterSubject = subjects.command(service, pool, '*');
  return bus.consume({ ...consumer, filterSubject, ackWaitMs: bus.lostAfterMs, concurrency: 1 }, async (delivery) => {
    const command = commandMessageSchema.safeParse(looseJson(delivery.data));
    if (command.success) await reportOutcome(bus, command.data, outcome);
    else await deadLetter(bus, delivery, service, error);
    await delivery.acknowledge();
  });
}

/** Replaces an output over the limit with a `limit-exceeded` failure, since the output could never be sent. */
export function fitting(outcome: Outcome, bytesMax: number): Outcome {
  if (outcome.status === 'failed') return outcome;
  const bytes = Buffer.byteLength(JSON.stringify(outcome.output) ?? '');
  if (bytes <= bytesMax) return outcome;
  const text = `a result of ${bytes} bytes is over the limit of ${bytesMax}`;
  return { status: 'failed', error: toWireError(new CoppiceError('limit-exceeded', text)) };
}

export function looseJson(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch {
    // The data isn't JSON, so the sender is unknown and gets no answer.
    return null;
  }
}
