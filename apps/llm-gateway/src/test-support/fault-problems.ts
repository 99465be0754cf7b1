/** Compares results with the expectations. Each function returns the differences. */
import { isDeepStrictEqual } from 'node:util';
import { toWireError } from '@coppice/contracts';
import type { Outcome, TurnOutput } from '@coppice/contracts';
import { answerText, answerUsage } from '@coppice/faulty-upstream';
import type { FaultyRequest } from '@coppice/faulty-upstream';
import type { EndpointFormat } from '../ingress/http/endpoint-formats.ts';
import type { WireName } from '../provider/port.ts';
import type { HeardChat } from './chat-client.ts';
import type { EndpointAnswer } from './endpoint-client.ts';
import type { Expectation } from './fault-expectations.ts';

type ExpectedError = Extract<Expectation, { kind: 'error' }>;
type Check = [what: string, got: unknown, right: unknown];

function problemsIn(checks: readonly Check[]): string[] {
  return checks.flatMap(([what, got, right]) => {
    const isRight =
      typeof right === 'function' ? (right as (value: unknown) => boolean)(got) : isDeepStrictEqual(got, right);
    return isRight
      ? []
      : [`${what} is ${JSON.stringify(got)}${typeof right === 'function' ? '' : `, not ${JSON.stringify(right)}`}`];
  });
}

const isWithin =
  (least: number, most: number) =>
  (value: unknown): boolean =>
    typeof value === 'number' && value >= least && value <= most;

/** Accepts a shorter wait, since time passes and dates have a precision of seconds. */
const isWait = ({ retryAfterMs }: ExpectedError) =>
  retryAfterMs === null ? (value: unknown) => value === undefined : isWithin(retryAfterMs - 60_000, retryAfterMs);

/** Estimated tokens of the prompt of 40 bytes. The gateway charges them if the provider reports no count. */
const estimatedInput = 10;

export function turnProblems(outcome: Outcome, expected: Expectation, wire: WireName): string[] {
  if (expected.kind === 'answer') {
    if (outcome.status !== 'done') return [`the turn failed: ${JSON.stringify(outcome)}`];
    const { text, finishReason, provider, attempts, usage } = outcome.output as TurnOutput;
    const requestCount = expected.rescued ? 2 : 1;
    return problemsIn([
      ['text', text, { text: answerText }],
      ['finishReason', finishReason, 'stop'],
      ['provider', provider, expected.rescued ? 'healthy' : wire],
      ['attempts', attempts, requestCount],
      // An attempt that failed before any output may also have reported its input tokens.
      ['inputTokens', usage.inputTokens, isWithin(answerUsage.inputTokens, answerUsage.inputTokens * requestCount)],
      ['outputTokens', usage.outputTokens, answerUsage.outputTokens],
    ]);
  }
  if (outcome.status !== 'failed') return [`the turn did not fail: ${JSON.stringify(outcome)}`];
  const { code, retryable, details = {} } = outcome.error;
  const { inputTokens, outputTokens } = details['usage'] as { inputTokens: number; outputTokens: number };
  const began = expected.when === 'after';
  return problemsIn([
    ['code', code, expected.code],
    ['retryable', retryable, expected.retryable],
    ['attempts', details['attempts'], 1],
    ['retryAfterMs', details['retryAfterMs'], isWait(expected)],
    // A partial answer is charged. If no answer began, the input is charged only if the provider received the request.
    // The gateway can't know that for every fault, so 0 is accepted, too.
    [
      'inputTokens',
      inputTokens,
      (value: unknown) =>
        [estimatedInput, answerUsage.inputTokens, ...(began ? [] : [0])].includes(Number(value)) &&
        (code !== 'provider-limited' || value === 0),
    ],
    ['outputTokens', outputTokens, isWithin(began ? 1 : 0, began ? answerUsage.outputTokens : 0)],
  ]);
}

/** Doesn't check for missing messages, since the client itself reports them. */
export function chatProblems(
  { messages, text, result, error }: HeardChat,
  expected: Expectation,
  wire: WireName,
): string[] {
  const outcome: Outcome =
    result === null
      ? { status: 'failed', error: toWireError(error) }
      : { status: 'done', output: { ...result, text: { text } } };
  const right = expected.kind === 'error' ? text === '' || answerText.startsWith(text) : text === answerText;
  return [
    ...turnProblems(outcome, expected, wire),
    ...problemsIn([
      ['first message', messages[0]?.type, 'started'],
      ['whether it is a beginning of the answer', right, true],
      [
        'whether it has one end',
        messages.filter(({ type }) => type === 'result').length,
        expected.kind === 'error' ? 0 : 1,
      ],
      ['whether any text was sent', text === '', expected.kind === 'error' && expected.when === 'before'],
    ]),
  ];
}

export function answerProblems(
  answer: EndpointAnswer,
  expected: Expectation,
  { endpoint, stream }: { endpoint: EndpointFormat; stream: boolean },
): string[] {
  const { status, headers, broke, text, whole, error } = answer;
  const hasError: Check = ['error', error, (value: unknown) => value !== null];
  if (expected.kind === 'answer')
    return problemsIn([
      ['status', status, 200],
      ['broke', broke, false],
      ['text', text, answerText],
      ['whole', whole, true],
      ['error', error, null],
    ]);
  // The answer must end with an error, so that no client treats it as complete.
  if (expected.when === 'after' && stream)
    return problemsIn([['status', status, 200], ['broke', broke, false], ['whole', whole, false], hasError]);
  const wait = headers.get('retry-after-ms');
  return problemsIn([
    ['status', status, expected.statusAt(endpoint)],
    ['broke', broke, false],
    ['whole', whole, false],
    hasError,
    ['retry-after-ms', wait === null ? undefined : Number(wait), isWait(expected)],
    // Clients retry statuses from 408 on automatically, unless this header forbids it.
    ['x-should-retry', headers.get('x-should-retry'), expected.retryable || status < 408 ? null : 'false'],
  ]);
}

/**
 * Checks that the healthy provider gets a request only if it must rescue the call. Also checks that no request is
 * repeated, and that the gateway closes the connection of an abandoned call.
 */
export async function requestProblems(
  requests: readonly FaultyRequest[],
  expected: Expectation,
  fault: string,
): Promise<string[]> {
  const rescued = expected.kind === 'answer' && expected.rescued;
  const healthy = requests.filter(({ model }) => fault !== 'healthy' && model.endsWith('/healthy'));
  const [first, ...others] = requests.filter((request) => !healthy.includes(request));
  const ended = await first?.ended;
  return problemsIn([
    ['requests to the healthy one', healthy.length, rescued ? 1 : 0],
    ['repeated requests', others.length, 0],
    fault.startsWith('stall-')
      ? // The time limit is so short that the gateway may abandon the call before its request arrives.
        ['end of the call', ended ?? 'left', 'left']
      : ['whether it got a request', first !== undefined, fault !== 'tls-error'],
  ]);
}
