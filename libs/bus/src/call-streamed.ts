import { CoppiceError, messageHeaders, wireErrorSchema } from '@coppice/contracts';
import type { Method } from '@coppice/contracts';
import { injectTrace } from '@coppice/telemetry';
import { addressOf, nobodyServes } from './call.ts';
import type { CallTarget } from './call.ts';
import { headers } from './nats.ts';
import type { Msg, NatsConnection } from './nats.ts';
import { parseJson, validate } from './validate.ts';

export type StreamedCall<Message> = {
  method: Method;
  target: CallTarget;
  input: unknown;
  /** Schema of each message of the answer. */
  message: Parameters<typeof validate<Message>>[0];
  /** A reply subject that nothing else uses. */
  inbox: string;
  /** Time without a message after which the call fails. */
  silenceMsMax: number;
};

/**
 * Calls a method that answers with several messages. Yields the messages until the caller stops reading.
 * @throws CoppiceError as `call` does, and `unavailable` when no message arrives for `silenceMsMax`
 */
export async function* callStreamed<Message>(
  connection: NatsConnection,
  { method, target, input, message: schema, inbox, silenceMsMax }: StreamedCall<Message>,
): AsyncGenerator<Message, void, undefined> {
  validate(method.input, input, method.name);
  const { subject } = addressOf(method, target);
  const answers = connection.subscribe(inbox);
  try {
    const traced = headers();
    for (const [name, value] of Object.entries(injectTrace({}))) traced.set(name, value);
    const data = new TextEncoder().encode(JSON.stringify(input));
    connection.publish(subject, data, { reply: inbox, headers: traced });
    const messages = answers[Symbol.asyncIterator]();
    for (;;) {
      const next = await withinSilence(messages.next(), subject, silenceMsMax);
      if (next.done === true) return;
      yield read(next.value, { method, subject, schema });
    }
  } finally {
    answers.unsubscribe();
  }
}

const noResponders = 503;

function read<Message>(
  { data, headers: head }: Msg,
  { method, subject, schema }: { method: Method; subject: string; schema: StreamedCall<Message>['message'] },
): Message {
  if (data.length === 0 && head?.code === noResponders) throw nobodyServes(subject);
  const what = `the answer of ${method.name}`;
  const body = parseJson(data, what);
  if (head?.has(messageHeaders.errorCode) === true)
    throw CoppiceError.fromWire(validate(wireErrorSchema, (body as { error?: unknown }).error, what));
  return validate(schema, body, what);
}

async function withinSilence<Value>(work: Promise<Value>, subject: string, silenceMsMax: number): Promise<Value> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const text = `nothing came from ${subject} for ${silenceMsMax} ms`;
  const timer = setTimeout(() => reject(new CoppiceError('unavailable', text)), silenceMsMax);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
