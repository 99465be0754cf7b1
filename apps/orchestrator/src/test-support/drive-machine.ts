import type { WireError } from '@coppice/contracts';
import type { AnswerParams } from '@coppice/durable-actor';
import { initialTransition, transition } from 'xstate';
import type { AnyMachineSnapshot, AnyStateMachine, ContextFrom } from 'xstate';

type Action = { type: string; params?: unknown };
export type Sent = { kind: string; id: string; event: { type: string } & Record<string, unknown> };

/** A machine without an engine. A test sends events to it and checks the effects that it starts. */
export class DrivenMachine<Machine extends AnyStateMachine> {
  readonly #machine: Machine;
  #snapshot: AnyMachineSnapshot;
  /** The last input of each started effect, by the machine's name for the invocation. */
  readonly inputs: Record<string, Record<string, unknown>> = {};
  /** Names of the invocations, in the order of their starts. */
  readonly started: string[] = [];
  /** Events to other actors, in order. */
  readonly sent: Sent[] = [];
  /** Answers to other actors' requests, in order. */
  readonly answers: AnswerParams[] = [];
  readonly emitted: ({ type: string } & Record<string, unknown>)[] = [];
  /** Delays of the running timers in milliseconds, by the event that the timer sends. */
  readonly timers: Record<string, number> = {};
  nowMs: number;

  constructor(machine: Machine, birth: { kind: string; id: string; now: number; input: unknown }) {
    this.#machine = machine;
    this.nowMs = birth.now;
    const [snapshot, actions] = initialTransition(machine as AnyStateMachine, birth);
    this.#snapshot = snapshot;
    this.#note(actions);
  }

  get invocation(): string {
    return this.started.at(-1) ?? '';
  }

  get state(): string {
    return JSON.stringify(this.#snapshot.value).replaceAll(/["{}]/g, '').replaceAll(':', '.');
  }

  get context(): ContextFrom<Machine> {
    return this.#snapshot.context as ContextFrom<Machine>;
  }

  get output(): unknown {
    return this.#snapshot.output;
  }

  send(event: { type: string } & Record<string, unknown>): this {
    const timed = { ...event, now: this.nowMs };
    const [snapshot, actions] = transition(this.#machine as AnyStateMachine, this.#snapshot, timed);
    this.#snapshot = snapshot;
    this.#note(actions);
    return this;
  }

  done(invocation: string, output?: unknown): this {
    return this.send({ type: `xstate.done.actor.${invocation}`, output, actorId: invocation });
  }

  failed(invocation: string, error: Partial<WireError> = {}): this {
    const wire = { code: 'unavailable', message: 'no', retryable: true, ...error };
    const effectId = `effect-${invocation}`;
    return this.send({ type: `xstate.error.actor.${invocation}`, error: wire, actorId: invocation, effectId });
  }

  /** Advances the clock until the timer for this event fires. */
  timeOut(event: string): this {
    const delayMs = this.timers[event];
    if (delayMs === undefined)
      throw new Error(`no timer runs for ${event}; there are: ${Object.keys(this.timers).join(', ')}`);
    this.nowMs += delayMs;
    delete this.timers[event];
    return this.send({ type: event });
  }

  #note(actions: readonly Action[]): void {
    for (const { type, params = {} } of actions) {
      if (type === 'notify') this.sent.push(params as Sent);
      if (type === 'answer') this.answers.push(params as AnswerParams);
      if (type === 'xstate.emit') this.emitted.push((params as Emit).event);
      if (type === 'xstate.raise') this.#noteTimer(params as Raise);
      if (type === 'xstate.cancel') delete this.timers[(params as { sendId: string }).sendId];
      if (type === 'xstate.spawnChild') this.#noteInvocation(params as Invocation);
    }
  }

  #noteTimer({ event, delay }: Raise): void {
    if (delay !== undefined) this.timers[event.type] = delay;
  }

  #noteInvocation({ id, input }: Invocation): void {
    this.inputs[id] = input;
    this.started.push(id);
  }
}

type Emit = { event: { type: string } & Record<string, unknown> };
type Raise = { event: { type: string }; delay?: number };
type Invocation = { id: string; input: Record<string, unknown> };
