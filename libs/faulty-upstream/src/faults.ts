/** All faults of the faulty upstream, on one page: their names, and what each does. */
import { CoppiceError } from '@coppice/contracts';

type Fault = {
  does: string;
  /** The unit of the number after `@`; a fault without `amount` takes no number. */
  amount?: { unit: 'ms' | 's' | 'characters'; standard: number; most: number };
};

const milliseconds = (standard: number) => ({ unit: 'ms', standard, most: 3_600_000 }) as const;
const seconds = { unit: 's', standard: 2, most: 86_400 } as const;

/** Faults before the first output: the client can still fail over. */
const beforeOutput = {
  latency: { does: 'answers well, but so much later', amount: milliseconds(2_000) },
  limited: { does: '429 that does not say how long to wait' },
  'limited-retry-after': { does: '429 with retry-after in seconds', amount: seconds },
  'limited-retry-after-date': { does: '429 with retry-after as a date', amount: seconds },
  'limited-retry-after-ms': { does: '429 with retry-after-ms, which is the shorter wait', amount: milliseconds(1_500) },
  'limited-reset': { does: '429 with x-ratelimit-reset-requests and -tokens as durations', amount: seconds },
  'limited-reset-date': { does: '429 with anthropic-ratelimit-requests-reset as a date', amount: seconds },
  'limited-retry-info': { does: "429 with Google's RetryInfo in the body", amount: seconds },
  'spend-limit': { does: "the refusal of an account that is used up, in the vendor's words: no wait helps" },
  'refused-key': { does: 'refuses the key' },
  'http-500': { does: 'an internal error' },
  'http-502': { does: "502 with a proxy's page in place of an error" },
  'http-503': { does: 'is unavailable' },
  'http-529': { does: 'is overloaded' },
  'overloaded-before-output': { does: '200, and then the stream opens with an error: overloaded' },
  'no-answer': { does: 'takes the request and breaks the connection' },
  'cut-before-output': { does: 'begins a stream and breaks the connection before any output' },
  'end-before-output': { does: 'begins a stream and ends it in good order before any output' },
  'stall-before-output': { does: 'begins a stream and says nothing more, for ever' },
  'malformed-before-output': { does: 'an event that is no JSON, in place of the first output' },
  'huge-chunk': {
    does: 'one event of so many characters, in place of the first output',
    amount: { unit: 'characters', standard: 17 * 1024 * 1024, most: 256 * 1024 * 1024 },
  },
  'wrong-content-type': { does: '200 with a page of HTML' },
  redirect: { does: '307 to another address' },
} as const satisfies Record<string, Fault>;

/** Faults after the first output: the only right result is an explicit error. In an unstreamed answer, half of the body is sent. */
const afterOutput = {
  'overloaded-after-output': { does: 'an error in the middle of the stream: overloaded' },
  'cut-after-output': { does: 'breaks the connection so long after the first output', amount: milliseconds(50) },
  'end-after-output': { does: 'ends the stream in good order, after half of the answer' },
  'stall-after-output': { does: 'says half of the answer and nothing more, for ever' },
  'malformed-after-output': { does: 'an event that is no JSON, after half of the answer' },
} as const satisfies Record<string, Fault>;

/** Unusual, but correct answers. */
const odd = {
  healthy: { does: 'answers well' },
  paced: { does: 'answers well, with so long a pause before each piece', amount: milliseconds(50) },
  'slow-drip': { does: 'answers well, byte by byte' },
} as const satisfies Record<string, Fault>;

export const faults = { ...odd, ...beforeOutput, ...afterOutput };
export type FaultName = keyof typeof faults;
export const faultNames = Object.keys(faults) as FaultName[];

/** A fault with its amount; null if it has none. */
export type Scenario = { fault: FaultName; amount: number | null };

/** Parses `cut-after-output`, `latency@250`, also after slashes: `drill/latency@250`. @throws CoppiceError `model-not-found`, which lists all faults. */
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

/** Help text, one line per fault. */
export const faultsHelp = (): string =>
  Object.entries<Fault>(faults)
    .map(([name, { does, amount }]) => {
      const shown = amount === undefined ? name : `${name}[@${amount.unit}]`;
      return `  ${shown.padEnd(29)}${does}${amount === undefined ? '' : ` (${amount.standard})`}`;
    })
    .join('\n');
