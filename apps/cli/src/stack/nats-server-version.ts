import { execFile } from 'node:child_process';

const timeMsMax = 10_000;

/** Returns a version such as `2.12.1`. Returns null if the program prints none or fails. */
export function natsServerVersion(program: string): Promise<string | null> {
  return new Promise((resolve) => {
    execFile(program, ['--version'], { timeout: timeMsMax, encoding: 'utf8' }, (error, out) =>
      resolve(error === null ? (/\d+\.\d+\.\d+/.exec(out)?.[0] ?? null) : null),
    );
  });
}
