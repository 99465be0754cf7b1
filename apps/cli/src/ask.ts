/**
 * Calls the stack's services, with retries.
 *
 * Invariants:
 * 1. Read-only and idempotent calls are retried after any retryable error. Any other call is retried only if no service
 *    received it.
 * 2. A call fails at once when the stack ends. Otherwise the call waits about `waitMsMax` for an answer.
 */
import { CoppiceError, api, gatewayCalls } from '@coppice/contracts';
import type { Method } from '@coppice/contracts';
import type { ApiClient } from './api-client.ts';
import { CliError } from './errors.ts';
import { exitCodes } from './exit-codes.ts';
import { pause } from './pause.ts';

/** `what`: the service that a call waits for. `ms`: milliseconds since the call began. */
export type Waiting = { what: string; ms: number };
/** Called every second while a call waits, after the first `quietMs`. Called with null when that call ends. */
export type OnWaiting = (waiting: Waiting | null) => void;

export type AskOptions = {
  /** Default: the orchestrator, through the public API. */
  service?: 'llm-gateway';
  /** Default: the client's `waitMsMax`, else `waitMsDefault`. */
  waitMsMax?: number | undefined;
  onWaiting?: OnWaiting | undefined;
  /** Ends the wait. The call then rejects with `cancelled`. */
  signal?: AbortSignal;
};

/** Default time limit for an answer. Commands that follow a run use `followWaitMsMax` instead. */
export const waitMsDefault = 60_000;
export const followWaitMsMax = 15 * 60_000;
/** Time during which `internal` errors are retried. A connection that has just broken can cause such an error. */
const internalMsMax = 20_000;
const pauseMs = 500;
const quietMs = 5_000;
const tickMs = 1_000;
const pongMsMax = 3_000;

const repeatable: ReadonlySet<Method> = new Set<Method>([
  // A repeated `runSubmit` with the same request id returns the same run.
  api.runSubmit,
  api.runGet,
  api.runList,
  api.taskGet,
  api.taskList,
  api.taskDiff,
  api.taskBundle,
  api.artifactGet,
  gatewayCalls.budgets,
  gatewayCalls.checkModels,
  gatewayCalls.mintToken,
]);

/**
 * @throws CoppiceError if the service returns an error; CliError (stack unavailable) with the waiting time if no answer
 * came
 */
export async function ask<Input, Output>(
  client: ApiClient,
  method: Method & { input: { _zod: { input: Input } }; output: { _zod: { output: Output } } },
  input: Input,
  options: AskOptions = {},
): Promise<Output> {
  const { service } = options;
  const target = service === undefined ? { tenant: client.tenant } : { service };
  const started = performance.now();
  const ticker = new Ticker(client, service ?? 'orchestrator', options.onWaiting ?? client.onWaiting);
  const over = new AbortController();
  const ends = whenOver(client.stackEnded, options.signal, over.signal);
  try {
    for (;;) {
      try {
        return await Promise.race([client.bus.call(method, target, input), ends]);
      } catch (error) {
        if (!(error instanceof CoppiceError)) throw error;
        const waitedMs = performance.now() - started;
        const isOver = waitedMs > (options.waitMsMax ?? client.waitMsMax ?? waitMsDefault);
        if (isOver || !mayRepeat(method, error, waitedMs)) throw reported(error, method, waitedMs);
      }
      await Promise.race([pause(pauseMs, over.signal), ends]);
    }
  } finally {
    ticker.stop();
    over.abort();
  }
}

function mayRepeat(method: Method, { code, retryable }: CoppiceError, waitedMs: number): boolean {
  if (!retryable) return false;
  if (code === 'unavailable') return true;
  if (!repeatable.has(method)) return false;
  return code === 'deadline-exceeded' || (code === 'internal' && waitedMs < internalMsMax);
}

function reported(error: CoppiceError, method: Method, waitedMs: number): Error {
  const seconds = Math.round(waitedMs / 1_000);
  if (error.code === 'deadline-exceeded') {
    const effect = repeatable.has(method) ? '' : '. It may have taken effect; coppice show reports the state';
    const text = `no answer in ${seconds} s; the stack is busy or stopping${effect}`;
    return new CliError(exitCodes.stackUnavailable, text, { cause: error });
  }
  if (error.code !== 'unavailable') return error;
  return new CliError(exitCodes.stackUnavailable, `${error.message} (tried for ${seconds} s)`, { cause: error });
}

/** Rejects when the stack ends or the caller aborts the call. Removes its listeners when `until` is aborted. */
function whenOver(
  stackEnded: AbortSignal | undefined,
  left: AbortSignal | undefined,
  until: AbortSignal,
): Promise<never> {
  const ends = new Promise<never>((_resolve, reject) => {
    const ended = () =>
      reject(new CliError(exitCodes.stackUnavailable, `${String(stackEnded?.reason)}: start one with "coppice up"`));
    const leave = () => reject(new CoppiceError('cancelled', 'the caller no longer waits for the answer'));
    if (stackEnded?.aborted === true) ended();
    if (left?.aborted === true) leave();
    stackEnded?.addEventListener('abort', ended, { once: true, signal: until });
    left?.addEventListener('abort', leave, { once: true, signal: until });
  });
  // Prevents an unhandled rejection. After an answer, nobody else handles the rejection of `ends`.
  ends.catch(() => {});
  return ends;
}

/**
 * Reports what a call waits for. If the NATS server doesn't answer, reports that server. Otherwise, reports the
 * service.
 */
class Ticker {
  readonly #onWaiting: OnWaiting | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #started = performance.now();
  #pongAt = performance.now();
  #isPinging = false;
  #hasReported = false;

  constructor({ bus }: ApiClient, what: string, onWaiting: OnWaiting | undefined) {
    this.#onWaiting = onWaiting;
    if (onWaiting === undefined) return;
    this.#timer = setInterval(() => {
      const now = performance.now();
      if (!this.#isPinging) {
        this.#isPinging = true;
        const pong = () => {
          this.#isPinging = false;
          this.#pongAt = performance.now();
        };
        bus.flush().then(pong, () => (this.#isPinging = false));
      }
      if (now - this.#started < quietMs) return;
      this.#hasReported = true;
      onWaiting({ what: now - this.#pongAt > pongMsMax ? 'NATS server' : what, ms: now - this.#started });
    }, tickMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    if (this.#hasReported) this.#onWaiting?.(null);
  }
}

export const waitingText = ({ what, ms }: Waiting): string =>
  `waiting for the ${what} (no answer for ${Math.round(ms / 1_000)} s)…`;

const repeatMs = 30_000;

/** Prints a line when the wait is first reported, then every `repeatMs`, and when the wait ends. */
export function waitingLines(print: (line: string) => void): OnWaiting {
  let nextMs = 0;
  let last: Waiting | null = null;
  return (waiting) => {
    if (waiting === null) {
      if (last !== null) print(`the ${last.what} answers again`);
      [nextMs, last] = [0, null];
    } else {
      last = waiting;
      if (waiting.ms < nextMs) return;
      nextMs = waiting.ms + repeatMs;
      print(waitingText(waiting));
    }
  };
}
