import { expect, test } from 'vitest';
import { seccompFilter, type SeccompArchitecture } from './seccomp.ts';

const allow = 0x7fff0000;
const refuse = (errno: number) => 0x00050000 | errno;
const numbers = {
  x64: { audit: 0xc000003e, read: 0, mount: 165, clone: 56, clone3: 435, ioctl: 16, socket: 41, personality: 135 },
  arm64: { audit: 0xc00000b7, read: 63, mount: 40, clone: 220, clone3: 435, ioctl: 29, socket: 198, personality: 92 },
} as const;

/** Interprets the filter as the kernel does. Knows only the instructions that the filter uses. */
function evaluate(program: Buffer, audit: number, number: number, firstArguments: number[] = []): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(number, 0);
  data.writeUInt32LE(audit, 4);
  for (const [index, value] of firstArguments.entries()) data.writeUInt32LE(value >>> 0, 16 + 8 * index);
  let accumulator = 0;
  for (let at = 0; at < program.length; at += 8) {
    const value = program.readUInt32LE(at + 4);
    const code = program.readUInt16LE(at);
    if (code === 0x06) return value;
    if (code === 0x20) accumulator = data.readUInt32LE(value);
    else {
      const holds = { 0x15: accumulator === value, 0x35: accumulator >= value, 0x45: (accumulator & value) !== 0 }[
        code
      ];
      if (holds === undefined) throw new Error(`unknown instruction ${code}`);
      at += 8 * program.readUInt8(at + (holds ? 2 : 3));
    }
  }
  throw new Error('the program ran off its end');
}

test.each(['x64', 'arm64'] as const)(
  'on %s ordinary calls pass and dangerous ones do not',
  (architecture: SeccompArchitecture) => {
    const program = seccompFilter(architecture);
    const { audit, read, mount, clone, clone3, ioctl, socket, personality } = numbers[architecture];
    const answer = (number: number, ...values: number[]) => evaluate(program, audit, number, values);
    expect(answer(read)).toBe(allow);
    expect(answer(mount)).toBe(refuse(1));
    expect(answer(clone3)).toBe(refuse(38));
    // The first two calls create a thread and a process, the third one a user namespace.
    expect(answer(clone, 0x3d0f00)).toBe(allow);
    expect(answer(clone, 17)).toBe(allow);
    expect(answer(clone, 0x10000000 | 17)).toBe(refuse(1));
    expect(answer(ioctl, 0, 0x5401)).toBe(allow);
    expect(answer(ioctl, 0, 0x5412)).toBe(refuse(1));
    expect(answer(ioctl, 0, 0x541c)).toBe(refuse(1));
    expect(answer(socket, 2)).toBe(allow);
    for (const family of [0, 17, 38, 40]) expect(answer(socket, family)).toBe(refuse(1));
    expect(answer(personality, 0xffffffff)).toBe(allow);
    expect(answer(personality, 0x0400000)).toBe(refuse(1));
    expect(evaluate(program, 0x40000003, read)).toBe(refuse(1));
    expect(program.length / 8).toBeLessThan(4096);
  },
);

test('all x32 calls are rejected', () => {
  expect(evaluate(seccompFilter('x64'), numbers.x64.audit, 0x40000000)).toBe(refuse(1));
});
