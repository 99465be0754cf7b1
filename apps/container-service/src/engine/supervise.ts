/**
 * Runs one command to its end, with a timeout, cancellation, disk limits and bounded output.
 *
 * Collaborators: a Launcher (starts and kills the command), output.ts (keeps and passes on output), disk-watch.ts
 * (checks the disk limits).
 * 1. A result is returned only after `ended` has settled, so no process of the command is alive then.
 * 2. If there are several reasons to kill the command, the first is reported. The kill is repeated until the command
 *    has ended.
 * 3. If the command doesn't end within `killWaitMsMax` after a kill, NoAnswer is thrown.
 * 4. Buffered output is limited. A slow log file pauses the command's output. A slow live consumer loses chunks.
 */
import { constants } from 'node:os';
import { CoppiceError } from '@coppice/contracts';
import type { DiskCheck } from './disk-watch.ts';
import type { CommandEnd, OutputSink, RunningCommand } from './launcher.ts';
import {
  keepBytesDefault,
  keepBytesMax,
  killWaitMsMax,
  launchMsMax,
  timeoutMsDefault,
  timeoutMsMax,
} from './limits.ts';
import { NoAnswer } from './no-answer.ts';
import { BoundedCapture, LiveOutput, LogFile } from './output.ts';
import type { ExecOptions, ExecResult } from './port.ts';

const killRepeatMs = 500;
const liveFinishMsMax = 2_000;

const neverAborted = new AbortController().signal;

type KillReason = 'timeout' | 'cancel' | 'disk';

export async function supervise(
  launch: (sink: OutputSink, beforeStart: () => Promise<void>) => Promise<RunningCommand>,
  options: ExecOptions,
  disk: DiskCheck,
): Promise<ExecResult> {
  const keepBytes = Math.min(options.keepBytes ?? keepBytesDefault, keepBytesMax);
  const captures = { stdout: new BoundedCapture(keepBytes), stderr: new BoundedCapture(keepBytes) };
  const live = options.onOutput === undefined ? undefined : new LiveOutput(options.onOutput);
  const log = options.logFile === undefined ? undefined : new LogFile(options.logFile);
  let running: RunningCommand | undefined;
  let paused = false;

  const sink: OutputSink = (stream, chunk) => {
    captures[stream].push(chunk);
    live?.push(stream, chunk);
    if (log === undefined || log.write(chunk) || paused) return;
    paused = true;
    running?.pause();
    void log.drained().then(() => {
      paused = false;
      running?.resume();
    });
  };

  const started = performance.now();
  try {
    if (options.signal?.aborted) throw new CoppiceError('cancelled', 'the command was cancelled before it started');
    running = await launchInTime((beforeStart) => launch(sink, beforeStart), options);
    const { reason, exitCode, oomKilled, throttledPeriods } = await untilEnded(running, options, disk);
    const durationMs = Math.round(performance.now() - started);
    const diskExceeded =
      reason === 'disk' || (reason === undefined && (await disk.isExceeded(options.signal ?? neverAborted)));
    return {
      exitCode,
      signal: signalOf(exitCode),
      timedOut: reason === 'timeout',
      cancelled: reason === 'cancel',
      diskExceeded,
      // If this process killed the command, the result reports only the reason for the kill.
      oomKilled: oomKilled && reason === undefined,
      ...(throttledPeriods === undefined ? {} : { throttledPeriods }),
      durationMs,
      stdout: captures.stdout.result(),
      stderr: captures.stderr.result(),
      ...(log === undefined ? {} : { log: await log.finish() }),
    };
  } finally {
    await live?.finish(liveFinishMsMax);
    await log?.finish();
  }
}

/** Launches a command within `launchMsMax`, not counting the time in `beforeStart`. A command that starts later is killed. */
async function launchInTime(
  launch: (beforeStart: () => Promise<void>) => Promise<RunningCommand>,
  { beforeStart, signal }: ExecOptions,
): Promise<RunningCommand> {
  let timer: NodeJS.Timeout | undefined;
  let isLate = false;
  const late = Promise.withResolvers<never>();
  const limitTime = () => {
    timer = setTimeout(() => {
      isLate = true;
      late.reject(new NoAnswer('sandbox-failed', `the engine didn't start a command within ${launchMsMax / 1000} s`));
    }, launchMsMax);
  };
  limitTime();
  const launching = launch(async () => {
    if (isLate) await late.promise;
    clearTimeout(timer);
    await beforeStart?.();
    if (signal?.aborted) throw new CoppiceError('cancelled', 'the command was cancelled before it started');
    limitTime();
  });
  void launching.then(
    (running) => isLate && running.kill(),
    () => undefined,
  );
  try {
    return await Promise.race([launching, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function untilEnded(
  running: RunningCommand,
  options: ExecOptions,
  disk: DiskCheck,
): Promise<CommandEnd & { reason: KillReason | undefined }> {
  let reason: KillReason | undefined;
  let killTimer: NodeJS.Timeout | undefined;
  let lostTimer: NodeJS.Timeout | undefined;
  const watching = new AbortController();
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => undefined);

  const end = (why: KillReason) => {
    if (reason !== undefined || watching.signal.aborted) return;
    reason = why;
    running.kill();
    killTimer = setInterval(() => running.kill(), killRepeatMs);
    lostTimer = setTimeout(() => {
      const message = `the engine didn't end a command within ${killWaitMsMax / 1000} s (reason: ${why})`;
      lost.reject(new NoAnswer('sandbox-failed', message));
    }, killWaitMsMax);
  };
  const cancel = () => end('cancel');
  const timeoutTimer = setTimeout(() => end('timeout'), Math.min(options.timeoutMs ?? timeoutMsDefault, timeoutMsMax));
  options.signal?.addEventListener('abort', cancel);
  if (options.signal?.aborted) cancel();
  void disk.watch(watching.signal, running).then((exceeded) => exceeded && end('disk'));
  try {
    const ended = await Promise.race([running.ended, lost.promise]);
    return { reason, ...ended };
  } finally {
    watching.abort();
    options.signal?.removeEventListener('abort', cancel);
    clearTimeout(timeoutTimer);
    clearTimeout(lostTimer);
    clearInterval(killTimer);
  }
}

const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

function signalOf(exitCode: number): string | null {
  return exitCode > 128 ? (signalNames.get(exitCode - 128) ?? null) : null;
}
