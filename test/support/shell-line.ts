import { spawn } from 'node:child_process';

export type ShellOutcome = { exitCode: number | null; out: string; err: string };

/** After `timeoutMs` the shell and its child processes are killed, and the exit code is null. */
export async function runShellLine(
  line: string,
  settings: { cwd: string; environment: Record<string, string>; timeoutMs: number },
): Promise<ShellOutcome> {
  const { cwd, environment, timeoutMs } = settings;
  const child = spawn('sh', ['-c', line], {
    cwd,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const said = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.err += text));
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.on('error', reject).on('close', resolve);
  // A negative process id kills the whole process group, which is the shell's own.
  const timer = setTimeout(() => child.pid !== undefined && process.kill(-child.pid, 'SIGKILL'), timeoutMs);
  const exitCode = await promise.finally(() => clearTimeout(timer));
  return { exitCode, ...said };
}
