import { execFile } from 'node:child_process';

const timeMsMax = 10_000;

/** Returns the version of a nats-server, such as `2.12.1`; null if the program doesn't print one. */
export function natsServerVersion(program: string): Promise<string | null> {
  return new Promise((resolve) => {
    execFile(program, ['--version'], { timeout: timeMsMax, encoding: 'utf8' }, (error, out) =>
      resolve(error === null ? (/\d+\.\d+\.\d+/.exec(out)?.[0] ?? null) : null),
    );
  });
}
