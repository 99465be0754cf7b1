import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const runFile = promisify(execFile);

/** Why what is written in Python can't be run here; null where it can. Where COPPICE_TEST_REQUIRE names `python`, its absence is a failure. */
export async function whyWithoutPython(): Promise<string | null> {
  try {
    await runFile('python3', ['-c', 'import sys; assert sys.version_info >= (3, 9)']);
    return null;
  } catch (error) {
    if ((process.env['COPPICE_TEST_REQUIRE'] ?? '').split(',').includes('python')) throw error;
    return `no Python 3.9 or newer in PATH: ${(error as Error).message.split('\n')[0]}`;
  }
}
