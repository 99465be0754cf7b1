/**
 * Finds the toolchains that the examples and tests in other languages need.
 *
 * `node test/support/toolchains.ts` prints the toolchains that this machine has, separated by commas. With `--missing`,
 * it prints those that the machine lacks.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { isAtLeast, parseVersion } from '../../setup/versions.js';
import { isRequired } from './required.ts';

const runFile = promisify(execFile);

type Program = { command: readonly [string, ...string[]]; versionMin: string };
const python: Program = { command: ['python3', '--version'], versionMin: '3.9.0' };
const go: Program = { command: ['go', 'version'], versionMin: '1.26.0' };

const toolchains = {
  python: [python],
  openssl: [{ command: ['openssl', 'version'], versionMin: '3.0.0' }],
  'nats-py': [python, { command: ['python3', '-m', 'pip', '--version'], versionMin: '21.0.0' }],
  'llama-cpp': [
    { ...python, versionMin: '3.10.0' },
    { command: ['python3', '-m', 'pip', '--version'], versionMin: '21.0.0' },
  ],
  go: [go],
  rust: [{ command: ['cargo', '--version'], versionMin: '1.89.0' }],
  java: [
    { command: ['java', '--version'], versionMin: '17.0.0' },
    { command: ['mvn', '--version'], versionMin: '3.6.0' },
  ],
  shell: [go, { command: ['jq', '--version'], versionMin: '1.6.0' }],
} as const satisfies Record<string, readonly Program[]>;
export type Toolchain = keyof typeof toolchains;

/**
 * Returns the reason why a toolchain can't be used on this machine, or null.
 * @throws if COPPICE_TEST_REQUIRE contains a toolchain that is missing
 */
export async function whyWithoutToolchain(name: Toolchain): Promise<string | null> {
  const missing = (await Promise.all(toolchains[name].map(whyWithoutProgram))).find((reason) => reason !== null);
  if (missing === undefined) return null;
  const reason = `no ${name} here: ${missing}`;
  if (isRequired(name)) throw new Error(reason);
  return reason;
}

async function whyWithoutProgram({ command: [program, ...options], versionMin }: Program): Promise<string | null> {
  try {
    const { stdout } = await runFile(program, options);
    const version = parseVersion(stdout);
    if (version !== undefined && isAtLeast(version, versionMin)) return null;
    return `${program} is ${version ?? 'of no version that can be read'}, needed is ${versionMin} or newer`;
  } catch (error) {
    return `${[program, ...options].join(' ')}: ${(error as Error).message.split('\n')[0]}`;
  }
}

if (import.meta.main) {
  const names = Object.keys(toolchains) as Toolchain[];
  const reasons = await Promise.all(names.map(whyWithoutToolchain));
  const missing = process.argv.includes('--missing');
  console.log(names.filter((_name, index) => (reasons[index] !== null) === missing).join(','));
}
