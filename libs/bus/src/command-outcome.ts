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

/** Sends a command's outcome to the inbox of the actor that ordered it. Waits while the server doesn't answer. @throws the signal's reason */
export async function tellOutcome(
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
  // One that comes twice is dropped: by the server for a while, then by the actor.
  await untilAnswered(() => bus.publish(to, result, { messageId: `${effectId}-result` }), signal);
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

/** What no try can tell is a failure that says so. */
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
    // Not JSON: then there is nobody to tell.
    return null;
  }
}
