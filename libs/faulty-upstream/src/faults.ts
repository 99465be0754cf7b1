/** All faults of the faulty upstream, each with its name and its effect. */
import { CoppiceError } from '@coppice/contracts';

type Fault = {
  does: string;
  /**
   * Unit, default (`standard`) and maximum (`most`) of the number after `@`. Without `amount`, no number is allowed.
   */
  amount?: { unit: 'ms' | 's' | 'characters'; standard: number; most: number };
};

const milliseconds = (standard: number) => ({ unit: 'ms', standard, most: 3_600_000 }) as const;
const seconds = { unit: 's', standard: 2, most: 86_400 } as const;

/** Faults before the first output. After them, the client can still fail over. */
const beforeOutput = {
  latency: { does: 'answers correctly after this delay', amount: milliseconds(2_000) },
  limited: { does: '429 that does not say how long to wait' },
  'limited-retry-after': { does: '429 with retry-after in seconds', amount: seconds },
  'limited-retry-after-date': { does: '429 with retry-after as a date', amount: seconds },
  'limited-retry-after-ms': {
    does: '429 with retry-after-ms, and a longer wait in retry-after',
    amount: milliseconds(1_500),
  },
  'limited-reset': { does: '429 with x-ratelimit-reset-requests and -tokens as durations', amount: seconds },
  'limited-reset-date': { does: '429 with anthropic-ratelimit-requests-reset as a date', amount: seconds },
  'limited-retry-info': { does: "429 with Google's RetryInfo in the body", amount: seconds },
  'spend-limit': { does: "the vendor's error for an account without credit, which no wait helps" },
  'refused-key': { does: 'rejects the key' },
  'http-500': { does: 'an internal error' },
  'http-502': { does: "502 with a proxy's HTML page instead of an error" },
  'http-503': { does: 'is unavailable' },
  'http-529': { does: 'is overloaded' },
  'overloaded-before-output': { does: '200, but the stream begins with an overload error' },
  'no-answer': { does: 'takes the request and breaks the connection' },
  'cut-before-output': { does: 'begins a stream and breaks the connection before any output' },
  'end-before-output': { does: 'begins a stream and ends it properly before any output' },
  'stall-before-output': { does: 'begins a stream, then sends nothing more and keeps it open' },
  'malformed-before-output': { does: 'an event that is not valid JSON instead of the first output' },
  'huge-chunk': {
    does: 'one event with this number of characters instead of the first output',
    amount: { unit: 'characters', standard: 17 * 1024 * 1024, most: 256 * 1024 * 1024 },
  },
  'wrong-content-type': { does: '200 with an HTML page' },
  redirect: { does: '307 to another address' },
} as const satisfies Record<string, Fault>;

/**
 * Faults after the first output. The only correct reaction of a client is an explicit error. Of an unstreamed answer,
 * half of the body is sent.
 */
const afterOutput = {
  'overloaded-after-output': { does: 'an overload error in the middle of the stream' },
  'cut-after-output': { does: 'breaks the connection this long after the first output', amount: milliseconds(50) },
  'end-after-output': { does: 'ends the stream properly after half of the answer' },
  'stall-after-output': { does: 'sends half of the answer, then nothing more, and keeps the stream open' },
  'malformed-after-output': { does: 'an event that is not valid JSON after half of the answer' },
} as const satisfies Record<string, Fault>;

/** Unusual, but correct answers. */
const odd = {
  healthy: { does: 'answers correctly' },
  paced: { does: 'answers correctly, with this pause before each piece', amount: milliseconds(50) },
  'slow-drip': { does: 'answers correctly, byte by byte' },
} as const satisfies Record<string, Fault>;

export const faults = { ...odd, ...beforeOutput, ...afterOutput };
export type FaultName = keyof typeof faults;
export const faultNames = Object.keys(faults) as FaultName[];

export type Scenario = { fault: FaultName; amount: number | null };

/**
 * Parses a fault's name with its amount, such as `latency@250`. Text up to the last slash is ignored, as in
 * `drill/latency@250`.
 * @throws CoppiceError `model-not-found`, which lists all faults.
 */
export function scenarioOf(name: string): Scenario {
  const [fault = '', amount, ...more] = name.slice(name.lastIndexOf('/') + 1).split('@');
  const known: Fault | undefined = Object.hasOwn(faults, fault) ? faults[fault as FaultName] : undefined;
  if (known === undefined || more.length > 0)
    throw new CoppiceError(
      'model-not-found',
      `no such model ${JSON.stringify(name)}: expected a fault, ${faultNames.join(', ')}`,
    );
  if (amount === undefined) return { fault: fault as FaultName, amount: known.amount?.standard ?? null };
  if (known.amount === undefined)
    throw new CoppiceError('model-not-found', `${JSON.stringify(name)}: ${fault} takes no amount`);
  const { unit, most } = known.amount;
  const value = /^\d+$/.test(amount) ? Number(amount) : Number.NaN;
  if (value <= most) return { fault: fault as FaultName, amount: value };
  throw new CoppiceError(
    'model-not-found',
    `${JSON.stringify(name)}: expected a whole number of ${unit} up to ${most} after the @`,
  );
}

export const faultsHelp = (): string =>
  Object.entries<Fault>(faults)
    .map(([name, { does, amount }]) => {
      const shown = amount === undefined ? name : `${name}[@${amount.unit}]`;
      return `  ${shown.padEnd(29)}${does}${amount === undefined ? '' : ` (${amount.standard})`}`;
    })
    .join('\n');
