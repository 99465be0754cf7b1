/**
 * The seccomp filter for engines without a filter of their own. It is a classic BPF program that refuses the calls in
 * system-calls.ts and allows all others.
 */
import { absentCalls, argumentRules, refusedCalls, type ArgumentRule } from './system-calls.ts';

const eperm = 1;
const enosys = 38;

const architectures = {
  x64: { audit: 0xc000003e, column: 0 },
  arm64: { audit: 0xc00000b7, column: 1 },
} as const;

const loadWord = 0x20;
const jumpEqual = 0x15;
const jumpGreaterOrEqual = 0x35;
const jumpBitsSet = 0x45;
const give = 0x06;
const allow = 0x7fff0000;
const errnoAction = (errno: number) => 0x00050000 | errno;
/** Offsets in struct seccomp_data. Both architectures are little-endian, so an argument's low word comes first. */
const offset = { number: 0, architecture: 4, argument: (index: number) => 16 + 8 * index };

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number];

export type SeccompArchitecture = keyof typeof architectures;

export function isSeccompArchitecture(name: string): name is SeccompArchitecture {
  return Object.hasOwn(architectures, name);
}

/** Returns an array of struct sock_filter, 8 bytes each, as `bwrap --seccomp FD` reads it. */
export function seccompFilter(architecture: SeccompArchitecture): Buffer {
  const { audit, column } = architectures[architecture];
  const refuseNow: Instruction = [give, 0, 0, errnoAction(eperm)];
  const program: Instruction[] = [
    [loadWord, 0, 0, offset.architecture],
    // Refuses 32-bit calls, whose numbers differ from those below.
    [jumpEqual, 1, 0, audit],
    refuseNow,
    [loadWord, 0, 0, offset.number],
  ];
  // Refuses x32 calls. Their numbers have this bit set, so these calls would match none of the numbers below.
  if (architecture === 'x64') program.push([jumpGreaterOrEqual, 0, 1, 0x40000000], refuseNow);
  for (const numbers of Object.values(refusedCalls)) {
    const number = numbers[column];
    if (number !== null) program.push([jumpEqual, 0, 1, number], refuseNow);
  }
  for (const number of Object.values(absentCalls))
    program.push([jumpEqual, 0, 1, number], [give, 0, 0, errnoAction(enosys)]);
  for (const rule of Object.values(argumentRules)) {
    const tests = testsOf(rule, refuseNow);
    // If the call is a different one, jumps over the load, the tests and the reload.
    program.push([jumpEqual, 0, tests.length + 2, rule.numbers[column]]);
    program.push([loadWord, 0, 0, offset.argument(rule.argument)], ...tests, [loadWord, 0, 0, offset.number]);
  }
  program.push([give, 0, 0, allow]);

  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, [code, ifTrue, ifFalse, value]] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(ifTrue, index * 8 + 2);
    bytes.writeUInt8(ifFalse, index * 8 + 3);
    bytes.writeUInt32LE(value >>> 0, index * 8 + 4);
  }
  return bytes;
}

/**
 * Returns instructions that test the loaded argument. They refuse the call, or the program continues after the last of
 * them.
 */
function testsOf(rule: ArgumentRule, refuseNow: Instruction): Instruction[] {
  if ('refusedBits' in rule) return [[jumpBitsSet, 0, 1, rule.refusedBits], refuseNow];
  if ('refusedValues' in rule)
    return rule.refusedValues.flatMap((value): Instruction[] => [[jumpEqual, 0, 1, value], refuseNow]);
  const { allowedValues } = rule;
  return [
    ...allowedValues.map((value, index): Instruction => [jumpEqual, allowedValues.length - index, 0, value]),
    refuseNow,
  ];
}
