/**
 * Finds out what an engine enforces here by running hostile little commands in a sandbox of the probe's own and looking
 * at what became of them. Needs only a POSIX shell, coreutils and (to try the network) git in the image.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import { usedBytes } from './disk-watch.ts';
import type { Launcher, SandboxRecord } from './launcher.ts';
import type { Enforceable, Enforcement, EngineReport, ExecResult, Limits } from './port.ts';
import { reasonOf } from './reason.ts';
import { homeTarget, workspaceTarget } from './specification.ts';
import { DiskMeter } from './disk-watch.ts';
import { supervise } from './supervise.ts';

const mebibyte = 1024 * 1024;
const probeLimits: Limits = {
  memoryBytes: 32 * mebibyte,
  cpus: 0.05,
  pids: 32,
  diskBytes: 4 * mebibyte,
  scratchBytes: 2 * mebibyte,
};
const hogMebibytes = 24;
const hogsTried = 4;
const processesTried = 64;
/** The longer ones only where the shorter told nothing: on a busy machine a group may get less than it is allowed. */
const cpuMsTried = [800, 3_000, 9_000];
const probeTimeoutMs = 20_000;

type Run = (script: string, limits?: Partial<Limits>, timeoutMs?: number) => Promise<ExecResult>;

export async function probeEngine(
  launcher: Launcher,
  stateFolder: string,
  options: { probeImage: string; stackId: string },
): Promise<EngineReport> {
  const started = performance.now();
  const version = await launcher.connect();
  const image = await launcher.ensureImage(options.probeImage, () => undefined);
  const folder = join(stateFolder, 'probe', randomUUID());
  const workspace = join(folder, 'workspace');
  const home = join(folder, 'home');
  const user = launcher.defaultUser();
  for (const path of [workspace, home]) {
    await mkdir(path, { recursive: true, mode: 0o755 });
    if (process.getuid?.() === 0) await chown(path, user.uid, user.gid);
  }
  const record: SandboxRecord = {
    id: `probe-${randomUUID()}`,
    image: options.probeImage,
    labels: { stackId: options.stackId, tenant: 'probe', runId: 'probe', taskId: 'probe' },
    mounts: [
      { source: home, target: homeTarget, readOnly: false },
      { source: workspace, target: workspaceTarget, readOnly: false },
    ],
    env: {},
    user,
    limits: probeLimits,
    network: 'none',
  };
  const run: Run = (script, limits = {}, timeoutMs = probeTimeoutMs) => {
    const request = {
      record: { ...record, limits: { ...generousLimits, ...limits } },
      execId: randomUUID(),
      argv: ['/bin/sh', '-c', script],
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: homeTarget, LANG: 'C.UTF-8' },
      stdin: undefined,
    };
    return supervise((sink) => launcher.launch(request, sink), { timeoutMs, keepBytes: 64 * 1024 }, unwatched);
  };
  try {
    await proveMount(run, workspace, launcher.name);
    // At once, so that a start waits for the slowest only: none of them measures time.
    const [facts, limits] = await Promise.all([
      staticFacts(run, user.uid),
      launcher.name === 'none' ? nothingLimited : tryLimits(run, workspace),
    ]);
    const findings = { ...facts, ...limits, swap: swapFinding(limits.memory) };
    return {
      engine: launcher.name,
      version,
      image,
      enforces: findings,
      durationMs: Math.round(performance.now() - started),
    };
  } finally {
    await launcher.endAll(record.id);
    await rm(folder, { recursive: true, force: true });
  }
}

type Limit = Exclude<Enforceable, StaticFact | 'swap'>;

async function tryLimits(run: Run, workspace: string): Promise<Record<Limit, Enforcement>> {
  const [memory, pids, cpu, tmpfs, disk, networkNone] = await Promise.all([
    tryMemory(run),
    tryPids(run),
    tryCpu(run),
    tryScratch(run),
    tryDisk(run, workspace),
    tryNetwork(run),
  ]);
  return { memory, pids, cpu, tmpfs, disk, networkNone };
}

/** Engine none has nothing to limit by: trying it would hog the host itself for seconds, to learn what is known. */
const notLimited: Enforcement = { enforced: false, how: 'not tried: engine none limits nothing' };
const nothingLimited: Record<Limit, Enforcement> = {
  memory: notLimited,
  pids: notLimited,
  cpu: notLimited,
  tmpfs: notLimited,
  disk: notLimited,
  networkNone: notLimited,
};

const unwatched = new DiskMeter([]);

/** For probes that test something else than limits. */
const generousLimits: Limits = {
  memoryBytes: 256 * mebibyte,
  cpus: 1,
  pids: 128,
  diskBytes: 64 * mebibyte,
  scratchBytes: 16 * mebibyte,
};

/** A command runs at all, and the engine shows it the very folder that we mean (a daemon elsewhere would show another). */
async function proveMount(run: Run, workspace: string, engine: string): Promise<void> {
  const sentinel = randomUUID();
  await writeFile(join(workspace, 'sentinel'), sentinel, { mode: 0o644 });
  const result = await run('cat sentinel && echo written > answer && : > "$HOME/probe"');
  const answer = await readFile(join(workspace, 'answer'), 'utf8').catch(() => '');
  if (result.exitCode === 0 && result.stdout.text === sentinel && answer === 'written\n') return;
  if (result.exitCode === 0 && result.stdout.text !== sentinel) {
    throw new CoppiceError(
      'engine-unavailable',
      `engine ${engine}: it mounts another folder than this process means by ${workspace}: what was read there isn't what was written here. ` +
        'Are the paths of this process and of the engine of one machine, and the folder shared between them?',
    );
  }
  const what = `it exited with ${result.exitCode} and said ${JSON.stringify((result.stderr.text || result.stdout.text).slice(0, 400))}`;
  throw new CoppiceError(
    'engine-unavailable',
    `engine ${engine}: a probe command couldn't read and write its workspace and home: ${what}`,
  );
}

type StaticFact = Exclude<Enforceable, 'memory' | 'swap' | 'pids' | 'cpu' | 'tmpfs' | 'disk' | 'networkNone'>;

const staticScript = `
echo "uid=$(id -u)"
grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | sed 's/:[[:space:]]*/=/'
for f in /coppice-probe /usr/coppice-probe /etc/coppice-probe /var/tmp/coppice-probe; do if ( : > $f ) 2>/dev/null; then rm -f $f; echo "rootWritable=$f"; fi; done
for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sysrq-trigger; do if ( : >> $f ) 2>/dev/null; then echo "kernelWritable=$f"; fi; done
echo "processes=$(ls /proc | grep -c '^[0-9]*$')"
case "$(uname -m)" in x86_64) n=272;; aarch64) n=97;; *) n=;; esac
if command -v unshare >/dev/null; then if unshare -U true 2>/dev/null; then echo userns=made; else echo userns=refused; fi
elif [ -n "$n" ] && perl -e 1 2>/dev/null; then if perl -e "exit(syscall($n, 0x10000000) == 0 ? 0 : 1)"; then echo userns=made; else echo userns=refused; fi
else echo userns=untried; fi
`;

async function staticFacts(run: Run, uid: number): Promise<Record<StaticFact, Enforcement>> {
  const { stdout } = await run(staticScript);
  const facts = new Map(
    stdout.text.split('\n').map((line) => [line.split('=')[0] ?? '', line.slice(line.indexOf('=') + 1)]),
  );
  const value = (name: string) => facts.get(name) ?? 'unknown';
  const zero = (name: string) => /^0+$/.test(value(name));
  const finding = (enforced: boolean, how: string): Enforcement => ({ enforced, how });
  const processes = Number(value('processes'));
  const callerUid = process.getuid?.();
  return {
    nonRoot: finding(value('uid') !== '0' && value('uid') !== 'unknown', `id -u said ${value('uid')}`),
    ownUid: finding(
      value('uid') === String(uid) && uid !== callerUid,
      `commands run as uid ${value('uid')}, the stack as uid ${callerUid}: ${uid === callerUid ? 'the same' : 'two of them'}`,
    ),
    noCapabilities: finding(
      zero('CapEff') && zero('CapBnd'),
      `/proc/self/status said CapEff ${value('CapEff')}, CapBnd ${value('CapBnd')}`,
    ),
    noNewPrivileges: finding(value('NoNewPrivs') === '1', `/proc/self/status said NoNewPrivs ${value('NoNewPrivs')}`),
    seccomp: finding(value('Seccomp') === '2', `/proc/self/status said Seccomp ${value('Seccomp')}`),
    readOnlyRoot: finding(
      !facts.has('rootWritable') && facts.has('uid'),
      facts.has('rootWritable')
        ? `${value('rootWritable')} could be written`
        : '/, /usr, /etc and /var/tmp refused to be written',
    ),
    kernelSettings: finding(
      !facts.has('kernelWritable') && facts.has('uid'),
      facts.has('kernelWritable')
        ? `${value('kernelWritable')} could be opened`
        : '/proc/sys and sysrq-trigger refused',
    ),
    processIsolation: finding(processes > 0 && processes < 12, `${processes} processes were seen in /proc`),
    userNamespaces: finding(
      value('userns') === 'refused',
      { refused: 'a new user namespace was refused', made: 'a new user namespace could be made' }[value('userns')] ??
        'the image has neither unshare nor perl to try it with',
    ),
  };
}

/** Several processes of which each is within the limit, so that a limit on single processes isn't taken for one on all. */
async function tryMemory(run: Run): Promise<Enforcement> {
  const hog = `(head -c ${hogMebibytes}m /dev/zero; sleep 0.5) | tail | wc -c &`;
  const result = await run(`${hog.repeat(hogsTried)} wait`, { memoryBytes: probeLimits.memoryBytes });
  const survivors = result.stdout.text
    .split('\n')
    .filter((line) => line.trim() === String(hogMebibytes * mebibyte)).length;
  const tried = `of ${hogsTried} processes that took ${hogMebibytes} MiB each under a limit of ${probeLimits.memoryBytes / mebibyte} MiB`;
  return { enforced: survivors <= 1 && !result.timedOut, how: `${tried}, ${survivors} lived` };
}

function swapFinding(memory: Enforcement): Enforcement {
  const swaps = existsSync('/proc/swaps') ? readFileSync('/proc/swaps', 'utf8').trim().split('\n').length - 1 : 0;
  if (!memory.enforced) return { enforced: false, how: 'memory itself is not limited' };
  const how = swaps === 0 ? 'this host has no swap' : 'a process over its memory was ended although this host has swap';
  return { enforced: true, how };
}

async function tryPids(run: Run): Promise<Enforcement> {
  const script = `i=0; while [ $i -lt ${processesTried} ]; do sleep 20 & i=$((i+1)); done 2>/dev/null; echo all; kill $(jobs -p) 2>/dev/null`;
  const result = await run(script, { pids: probeLimits.pids }, 5_000);
  const all = result.stdout.text.includes('all');
  const tried = `${processesTried} processes at once under a limit of ${probeLimits.pids}`;
  return { enforced: !all, how: `${tried} ${all ? 'were started' : 'were refused'}` };
}

/**
 * Little processor time alone proves nothing on a loaded machine. The kernel counts the periods in which it held a group
 * back; an engine that can't be asked for that shows it to its own processes.
 */
async function tryCpu(run: Run): Promise<Enforcement> {
  let periods = 0;
  for (const tryMs of cpuMsTried) {
    const loops = `(while :; do :; done) & a=$!; (while :; do :; done) & b=$!; sleep ${tryMs / 1000}; kill $a $b`;
    const script = `${loops}; cat /sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpu/cpu.stat 2>/dev/null; true`;
    const result = await run(script, { cpus: probeLimits.cpus });
    const seen = /^nr_throttled (\d+)$/m.exec(result.stdout.text)?.[1];
    periods = result.throttledPeriods ?? Number(seen ?? 0);
    // Without a counter a longer try would tell no more.
    if (periods > 0 || (result.throttledPeriods === undefined && seen === undefined)) break;
  }
  const how = `under a limit of ${probeLimits.cpus} processors two busy loops were held back in ${periods} periods`;
  return { enforced: periods > 0, how };
}

async function tryScratch(run: Run): Promise<Enforcement> {
  const bytes = 3 * probeLimits.scratchBytes;
  const script = `f=$(mktemp /tmp/coppice-probe.XXXXXX) && head -c ${bytes} /dev/zero 2>/dev/null > $f; wc -c < $f; rm -f $f`;
  const result = await run(script, { scratchBytes: probeLimits.scratchBytes });
  const written = Number(result.stdout.text.trim());
  return {
    enforced: Number.isFinite(written) && written <= probeLimits.scratchBytes,
    how: `of ${bytes} bytes, ${written} went into /tmp under a limit of ${probeLimits.scratchBytes}`,
  };
}

/** One file is bounded by the kernel at once; the sum is bounded by a watch, which is tried in passing here. */
async function tryDisk(run: Run, workspace: string): Promise<Enforcement> {
  const bytes = 2 * probeLimits.diskBytes;
  const script = `head -c ${bytes} /dev/zero 2>/dev/null > big; wc -c < big; rm -f big; mkdir many; for i in 1 2 3; do head -c ${probeLimits.diskBytes / 2} /dev/zero > many/part$i; done`;
  const result = await run(script, { diskBytes: probeLimits.diskBytes });
  const written = Number(result.stdout.text.trim());
  const budget = { folders: [join(workspace, 'many')], bytesMax: probeLimits.diskBytes };
  const seen = (await usedBytes(budget, new AbortController().signal)) > budget.bytesMax;
  const one = `of a file of ${bytes} bytes, ${written} were written under a limit of ${probeLimits.diskBytes}`;
  const many = seen
    ? 'the sum of several is seen by a watch and ended up to a few seconds late'
    : 'several files went unseen';
  return { enforced: written <= probeLimits.diskBytes && seen, how: `${one}; ${many}` };
}

async function tryNetwork(run: Run): Promise<Enforcement> {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const script = `command -v git >/dev/null && echo tried; timeout 5 git ls-remote git://127.0.0.1:${port}/probe >/dev/null 2>&1; grep ':' /proc/net/dev | cut -d: -f1 | tr -d ' ' | tr '\\n' ' '`;
    const result = await run(script);
    const [tried, ...interfaces] = result.stdout.text.trim().split(/\s+/);
    const others = interfaces.filter(
      (name) => name !== 'lo' && !/^(tunl|sit|ip6tnl|gre|gretap|erspan|ip_vti|ip6_vti|ip6gre)\d*$/.test(name),
    );
    const how = `a connection to the host's loopback ${connections === 0 ? 'failed' : 'came through'}; interfaces besides lo: ${others.join(', ') || 'none'}`;
    return { enforced: tried === 'tried' && connections === 0 && others.length === 0, how };
  } catch (error) {
    return { enforced: false, how: `the probe failed: ${reasonOf(error)}` };
  } finally {
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}
