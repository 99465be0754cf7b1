import { anyPool } from '@coppice/contracts';
import type { Operation } from '@coppice/contracts';
import { fromPromise } from 'xstate';
import type { EventObject, PromiseActorLogic } from 'xstate';
import type {
  AnswerParams,
  CommandSource,
  CreateParams,
  OrderingAction,
  RequestSource,
  SendParams,
} from './definition.ts';

type Typed<Input, Output> = Operation & { input: { _zod: { input: Input } }; output: { _zod: { output: Output } } };

const effects = new WeakSet<object>();

/**
 * Placeholder logic for `setup({ actors })` of a durable machine. Only its types matter. The effect runs in another
 * process, so XState must never run this logic. `defineActor` rejects a machine with any other logic.
 */
export function effect<Input, Output>(operation: Typed<Input, Output>): PromiseActorLogic<Output, Input>;
export function effect<Output, Input>(): PromiseActorLogic<Output, Input>;
export function effect(): PromiseActorLogic<unknown> {
  const logic = fromPromise<unknown, unknown>(() =>
    Promise.reject(new Error('an effect of a durable actor is never run by XState')),
  );
  effects.add(logic);
  return logic;
}

export const isEffect = (logic: unknown): boolean => typeof logic === 'object' && logic !== null && effects.has(logic);

/** Placeholder for `setup({ actions })` of a durable machine, for an action that sends something. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller says what its parameters are
export function ordered<Params>(): (_: unknown, params: Params) => void {
  return () => {
    throw new Error('an action of a durable actor is never run by XState');
  };
}

/** Sends a command to a service. By default any process of the service may take the command. */
export function command<Input, Output>(
  operation: Typed<Input, Output>,
  options: { pool?: (input: Input, context: never) => string } = {},
): CommandSource {
  const pool = options.pool as CommandSource['pool'] | undefined;
  return { type: 'command', operation, pool: pool ?? (() => anyPool) };
}

/**
 * Sends an event to another actor, which must answer with the action `answer`. The effect fails if the other actor
 * rejects the event or if the message becomes a dead letter. With `create`, the other actor is created if it doesn't
 * exist. If the machine leaves the invoking state before the answer, `cancel` is sent.
 */
export function request<Input>(
  kind: string,
  options: {
    id: (input: Input) => string;
    event: (input: Input, effect: { effectId: string; replyTo: { kind: string; id: string } }) => EventObject;
    create?: (input: Input) => unknown;
    cancel?: (input: Input, effect: { effectId: string; replyTo: { kind: string; id: string } }) => EventObject;
  },
): RequestSource {
  return {
    type: 'request',
    kind,
    id: options.id as RequestSource['id'],
    event: options.event as RequestSource['event'],
    create: (options.create as RequestSource['create'] | undefined) ?? null,
    cancel: (options.cancel as RequestSource['cancel'] | undefined) ?? null,
  };
}

const unchanged = (params: unknown): never => params as never;

export const send = (params?: (params: never) => SendParams): OrderingAction => ({
  type: 'send',
  params: (params as ((params: unknown) => SendParams) | undefined) ?? unchanged,
});

export const create = (params?: (params: never) => CreateParams): OrderingAction => ({
  type: 'create',
  params: (params as ((params: unknown) => CreateParams) | undefined) ?? unchanged,
});

/** Sends the result of an effect to the actor that waits for it. */
export const answer = (params?: (params: never) => AnswerParams): OrderingAction => ({
  type: 'answer',
  params: (params as ((params: unknown) => AnswerParams) | undefined) ?? unchanged,
});
