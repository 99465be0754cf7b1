/** The test suite that every engine must pass. */
import { stat } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  EngineFixture,
  hostHasProcess,
  isRequired,
  untestableReason,
  type LauncherFactory,
} from './conformance-fixture.ts';
import { describeIsolation } from './conformance-isolation.ts';
import { describeLifecycle } from './conformance-lifecycle.ts';
import { logBytesMax } from './limits.ts';
import type { EngineName, Enforceable, OutputChunk } from './port.ts';

export interface ConformanceOptions {
  engine: EngineName;
  makeLauncher: LauncherFactory;
  mustEnforce: readonly Enforceable[];
}

const linux = process.platform === 'linux';

export async function describeConformance(options: ConformanceOptions): Promise<void> {
  const reason = await untestableReason(options.makeLauncher);
  describe(`engine ${options.engine}`, () => {
    let fixture: EngineFixture;
    const current = () => fixture;

    beforeAll(async () => {
      if (reason === undefined) fixture = await EngineFixture.start(options.makeLauncher);
    });
    afterAll(async () => {
      if (reason === undefined) await fixture.stop();
    });
    beforeEach((context) => {
      if (reason === undefined) return;
      if (isRequired(options.engine)) throw new Error(`engine ${options.engine} is required, but: ${reason}`);
      context.skip(reason);
    });

    describeExec(current);
    describeEnding(current);
    describeOutput(current);
    describeLifecycle(current);
    describeIsolation(current, options);
  });
}

function describeExec(current: () => EngineFixture): void {
  describe('exec', () => {
    test('keeps stdout and stderr apart and passes the exit code on', async () => {
      const sandbox = await current().sandbox();
      const result = await sandbox.exec('echo to-out; echo to-err >&2; exit 7');
      expect(result).toMatchObject({ exitCode: 7, signal: null, timedOut: false, cancelled: false, oomKilled: false });
      expect(result.stdout).toEqual({ text: 'to-out\n', totalBytes: 7, truncated: false });
      expect(result.stderr).toEqual({ text: 'to-err\n', totalBytes: 7, truncated: false });
    });

    test('passes an argument vector on unchanged', async () => {
      const sandbox = await current().sandbox();
      const words = ['two words', '$HOME', "quote'd", '*', '', 'ünïcode', '-n'];
      const result = await sandbox.exec(['printf', '[%s]', ...words]);
      expect(result.stdout.text).toBe(words.map((word) => `[${word}]`).join(''));
    });

    test('sets variables for task and workspace, adds the given environment, and hides the service’s own', async () => {
      process.env['COPPICE_TEST_SECRET'] = 'of the service';
      const sandbox = await current().sandbox({ env: { OF_SANDBOX: 'one two' } });
      const result = await sandbox.exec(
        'echo "$COPPICE_TASK_ID"; ls -d "$COPPICE_WORKSPACE"; echo "$OF_SANDBOX-$OF_EXEC"; touch "$HOME/x"; env',
        { env: { OF_EXEC: 'three', COPPICE_TASK_ID: 'forged' } },
      );
      expect(result.stderr.text).toBe('');
      const lines = result.stdout.text.split('\n');
      expect(lines[0]).toBe(`task-of-${sandbox.id}`);
      expect(lines[1]).toBe(current().engine.name === 'none' ? sandbox.workspace : '/workspace');
      expect(lines[2]).toBe('one two-three');
      expect(result.stdout.text).not.toContain('of the service');
    });

    test('starts in the workspace, or in the requested folder', async () => {
      const sandbox = await current().sandbox();
      await sandbox.exec('mkdir -p deep/er; echo here > deep/er/file');
      expect((await sandbox.exec('cat file', { cwd: 'deep/er' })).stdout.text).toBe('here\n');
      expect((await sandbox.exec('cat file', { cwd: '/workspace/deep/er' })).stdout.text).toBe('here\n');
      const missing = await sandbox.exec('echo no', { cwd: 'missing' });
      expect(missing.exitCode).not.toBe(0);
      expect(missing.stdout.text).toBe('');
    });

    test('passes standard input on unchanged, and closes it', async () => {
      const sandbox = await current().sandbox();
      const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7919) % 256));
      const result = await sandbox.exec('cat > copy; wc -c < copy', { stdin: bytes });
      expect(result.stdout.text.trim()).toBe('300000');
      const back = await sandbox.exec('cksum < copy');
      expect((await sandbox.exec('cksum', { stdin: bytes })).stdout.text).toBe(back.stdout.text);
      expect((await sandbox.exec('cat; echo end')).stdout.text).toBe('end\n');
    });

    test('survives a command that does not read its input', async () => {
      const sandbox = await current().sandbox();
      const result = await sandbox.exec('exit 3', { stdin: Buffer.alloc(1024 * 1024) });
      expect(result.exitCode).toBe(3);
    });

    test('reports a missing program with exit code 127 and a message on stderr', async () => {
      const sandbox = await current().sandbox();
      const result = await sandbox.exec(['no-such-program', 'x']);
      // A shell returns 126 if it can't access a folder in PATH. This can happen with the host's own PATH.
      expect(current().engine.name === 'none' ? [126, 127] : [127]).toContain(result.exitCode);
      expect(result.stderr.text).toContain('no-such-program');
    });

    test('reports the signal that ended a command', async () => {
      const sandbox = await current().sandbox();
      const result = await sandbox.exec('sh -c "kill -SEGV \\$\\$"; exit $?');
      expect(result).toMatchObject({ exitCode: 139, signal: 'SIGSEGV' });
    });

    test('keeps files of workspace and home for the next command', async () => {
      const sandbox = await current().sandbox();
      await sandbox.exec('echo one > kept; echo two > ~/kept');
      expect((await sandbox.exec('cat kept ~/kept')).stdout.text).toBe('one\ntwo\n');
    });

    test('rejects an empty command, a NUL, and a command that is too long', async () => {
      const sandbox = await current().sandbox();
      for (const command of [[], ['echo', 'a\0b'], 'x'.repeat(130 * 1024)]) {
        await expect(sandbox.exec(command)).rejects.toMatchObject({ code: 'sandbox-refused' });
      }
    });
  });
}

function describeEnding(current: () => EngineFixture): void {
  describe('the end of a command', () => {
    test.runIf(linux)('a time-out ends every process, even if it tries to hide', async () => {
      const sandbox = await current().sandbox();
      const marker = `coppice${process.pid}timeout`;
      // This process leaves its process group and session, becomes an orphan, ignores TERM, HUP and INT, and keeps no
      // output open.
      const daemon = `setsid sh -c 'trap "" TERM HUP INT; : ${marker}; while :; do sleep 0.2; done' </dev/null >/dev/null 2>&1`;
      const script = `(${daemon} &); trap "" TERM; while :; do sleep 0.2; done`;
      const running = sandbox.exec(['sh', '-c', script], { timeoutMs: 2_500 });
      await expect.poll(() => hostHasProcess(marker), { timeout: 2_400 }).toBe(true);
      const result = await running;
      expect(result).toMatchObject({ timedOut: true, cancelled: false });
      expect(result.exitCode).not.toBe(0);
      expect(result.durationMs).toBeLessThan(6_000);
      expect(await hostHasProcess(marker)).toBe(false);
    });

    test.runIf(linux)('when a command ends normally, its background processes are ended too', async () => {
      const sandbox = await current().sandbox();
      const marker = `coppice${process.pid}background`;
      const script = `(setsid sh -c ': ${marker}; while :; do sleep 0.2; done' &); sleep 0.3; echo done`;
      const result = await sandbox.exec(['sh', '-c', script], { timeoutMs: 10_000 });
      expect(result).toMatchObject({ exitCode: 0, timedOut: false });
      expect(result.stdout.text).toBe('done\n');
      expect(await hostHasProcess(marker)).toBe(false);
    });

    test('a cancelled command ends at once and is reported as cancelled', async () => {
      const sandbox = await current().sandbox();
      const abort = new AbortController();
      const onOutput = () => abort.abort();
      const result = await sandbox.exec('echo begun; sleep 30', { signal: abort.signal, onOutput });
      expect(result).toMatchObject({ cancelled: true, timedOut: false });
      expect(result.stdout.text).toBe('begun\n');
      expect(result.durationMs).toBeLessThan(10_000);
    });

    test('a command that is cancelled before it starts never runs', async () => {
      const sandbox = await current().sandbox();
      await expect(sandbox.exec('touch ran', { signal: AbortSignal.abort() })).rejects.toMatchObject({
        code: 'cancelled',
      });
      expect((await sandbox.exec('ls')).stdout.text).toBe('');
    });

    test('a command whose beforeStart fails never runs, and leaves nothing', async () => {
      const sandbox = await current().sandbox();
      const { taskId } = sandbox.spec.labels;
      const taken = new Error('another process has taken it over');
      const beforeStart = async () => {
        // All engines except none have recorded the command when they call `beforeStart`.
        const { engine } = current();
        expect(await engine.list({ taskId })).toMatchObject([{ running: engine.name === 'none' ? 0 : 1 }]);
        throw taken;
      };
      await expect(sandbox.exec('touch ran', { beforeStart })).rejects.toBe(taken);
      const cancel = new AbortController();
      const cancelled = sandbox.exec('touch ran', {
        beforeStart: async () => cancel.abort(),
        signal: cancel.signal,
      });
      await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' });
      expect(await current().engine.list({ taskId })).toMatchObject([{ running: 0 }]);
      const result = await sandbox.exec('ls', { beforeStart: () => new Promise((resolve) => setTimeout(resolve, 10)) });
      expect(result).toMatchObject({ exitCode: 0, stdout: { text: '' } });
    });

    test('a command first ends a leftover with the same command id', async () => {
      const sandbox = await current().sandbox();
      const begun = Promise.withResolvers<void>();
      // Handles the rejection now, since the first command may fail while the second one runs.
      const first = sandbox
        .exec('echo first; sleep 30', { execId: 'same', onOutput: () => begun.resolve() })
        .catch((error: unknown) => error);
      await begun.promise;
      const second = await sandbox.exec('echo second', { execId: 'same' });
      expect(second.stdout.text).toBe('second\n');
      const ended = await first;
      expect(ended instanceof Error || (ended as { exitCode: number }).exitCode !== 0).toBe(true);
    });
  });
}

function describeOutput(current: () => EngineFixture): void {
  describe('output', () => {
    const flood = 'head -c 20000000 /dev/zero | tr "\\0" x; echo; echo the-end';

    test('of very long output, beginning and end are kept, and the bytes left out are counted', async () => {
      const sandbox = await current().sandbox();
      const before = process.memoryUsage().rss;
      const result = await sandbox.exec(`echo the-beginning; ${flood}`, { keepBytes: 1_000 });
      expect(result.stdout.truncated).toBe(true);
      expect(result.stdout.totalBytes).toBe(14 + 20_000_000 + 1 + 8);
      expect(result.stdout.text.length).toBeLessThan(2_100);
      expect(result.stdout.text.startsWith('the-beginning\n')).toBe(true);
      expect(result.stdout.text.endsWith('the-end\n')).toBe(true);
      expect(result.stdout.text).toContain(`… ${result.stdout.totalBytes - 2_000} bytes left out …`);
      expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 * 1024);
    });

    test('streams while the command runs', async () => {
      const sandbox = await current().sandbox();
      const chunks: OutputChunk[] = [];
      let sawFirst: (() => void) | undefined;
      const first = new Promise<void>((resolve) => (sawFirst = resolve));
      const running = sandbox.exec('echo one; while [ ! -e go ]; do sleep 0.05; done; echo two >&2', {
        onOutput: (chunk) => {
          chunks.push(chunk);
          sawFirst?.();
        },
      });
      await first;
      expect(chunks.map((chunk) => chunk.bytes.toString())).toEqual(['one\n']);
      await sandbox.exec('touch go');
      await running;
      expect(chunks.map(({ stream, bytes }) => [stream, bytes.toString()])).toEqual([
        ['stdout', 'one\n'],
        ['stderr', 'two\n'],
      ]);
    });

    test('a slow consumer loses output, the amount is reported, and the command is not delayed', async () => {
      const sandbox = await current().sandbox();
      let received = 0;
      let dropped = 0;
      const result = await sandbox.exec(`${flood}; sleep 0.5; echo after`, {
        onOutput: async ({ bytes, droppedBytes }) => {
          received += bytes.length;
          dropped += droppedBytes;
          await new Promise((resolve) => setTimeout(resolve, 5));
        },
      });
      expect(result.exitCode).toBe(0);
      expect(dropped).toBeGreaterThan(0);
      expect(received + dropped).toBe(result.stdout.totalBytes);
    });

    test('a consumer that throws does not harm the command', async () => {
      const sandbox = await current().sandbox();
      const result = await sandbox.exec('echo a; sleep 0.1; echo b', {
        onOutput: () => {
          throw new Error('broken consumer');
        },
      });
      expect(result.stdout.text).toBe('a\nb\n');
    });

    test('the log file gets everything, up to its limit', async () => {
      const sandbox = await current().sandbox();
      const logFile = `${current().data}/log-of-${sandbox.id}`;
      const whole = await sandbox.exec('head -c 9000000 /dev/zero; echo >&2', { logFile, keepBytes: 10 });
      expect(whole.log).toEqual({ bytes: 9_000_001, truncated: false });
      expect((await stat(logFile)).size).toBe(9_000_001);
      const cut = await sandbox.exec(flood, { logFile, keepBytes: 10 });
      expect(cut.log).toEqual({ bytes: logBytesMax, truncated: true });
      expect((await stat(logFile)).size).toBe(logBytesMax);
    });
  });
}
