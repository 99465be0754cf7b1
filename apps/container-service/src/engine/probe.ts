/**
 * The trials of a probe. Each trial runs small hostile commands in the probe's own sandbox and evaluates the results. A
 * property, here called a fact, is enforced, not enforced, or unknown. It is unknown if a command took too long. The
 * image needs a POSIX shell and coreutils, and git for the network trial. Without perl and python3, the facts about
 * system calls and sockets stay unknown.
 */
import { existsSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { usedBytes, type DiskCheck } from './disk-watch.ts';
import { heldBytes } from './held-files.ts';
import type { RunningCommand } from './launcher.ts';
import { answered, NoAnswer } from './no-answer.ts';
import type { Enforceable, Enforcement, EngineName, ExecResult, Limits, NetworkPolicy } from './port.ts';
import { tryAbstractSockets } from './probe-sockets.ts';
import { trySeccomp } from './probe-system-calls.ts';
import { reasonOf } from './reason.ts';

const mebibyte = 1024 * 1024;
export const probeLimits: Limits = {
  memoryBytes: 32 * mebibyte,
  cpus: 0.05,
  pids: 32,
  diskBytes: 4 * mebibyte,
  scratchBytes: 2 * mebibyte,
};
/** Limits for trials that don't test a limit. */
export const generousLimits: Limits = {
  memoryBytes: 256 * mebibyte,
  cpus: 1,
  pids: 128,
  diskBytes: 64 * mebibyte,
  scratchBytes: 16 * mebibyte,
};
const hogMebibytes = 24;
const hogsTried = 4;
/**
 * Maximum time in tenths of a second for which a process keeps its memory. It waits until each other process has its
 * memory or was killed.
 */
const hogHoldsMax = 100;
const processesTried = 64;
/**
 * Durations of the CPU trial in milliseconds. A longer trial runs only if the shorter one was inconclusive. On a busy
 * machine, the loops may get less than their limit.
 */
const cpuMsTried = [800, 3_000, 9_000];
/** The CPU limit counts as not enforced if the loops use this many times the limit. */
const cpuExcessMin = 2;
const connectSecondsMax = 15;
const heldBytesMax = 256 * 1024;
/** Maximum number of checks for a command's deleted open file, and the pause before each check. */
const heldLooksMax = 20;
const heldLookMs = 100;

/** Runs a script in the probe's sandbox. Defaults: network `none`, no disk checks. */
export type Run = (
  script: string,
  limits?: Partial<Limits>,
  network?: NetworkPolicy,
  disk?: DiskCheck,
) => Promise<ExecResult>;
export type ProbePlace = { run: Run; workspace: string; uid: number; engine: EngineName };
export type Findings = Partial<Record<Enforceable, Enforcement>>;
export type Trial = {
  facts: readonly Enforceable[];
  /** @throws NoAnswer if the facts stay unknown */
  run(place: ProbePlace): Promise<Findings>;
};

/** Finding for each limit of engine none. No trial runs, since trials would load the host for seconds. */
const notLimited: Enforcement = { enforced: false, how: 'not tried: engine none limits nothing' };

const limitTrial = (fact: Enforceable, attempt: (place: ProbePlace) => Promise<Enforcement>): Trial => ({
  facts: [fact],
  run: async (place) => ({ [fact]: place.engine === 'none' ? notLimited : await attempt(place) }),
});

const staticFactNames = [
  'nonRoot',
  'ownUid',
  'noCapabilities',
  'noNewPrivileges',
  'readOnlyRoot',
  'kernelSettings',
  'processIsolation',
  'userNamespaces',
] as const satisfies Enforceable[];
type StaticFact = (typeof staticFactNames)[number];

/** All trials. Together they determine every fact in `enforceable`. */
export const trials: readonly Trial[] = [
  { facts: staticFactNames, run: ({ run, uid }) => staticFacts(run, uid) },
  {
    facts: ['memory', 'swap'],
    run: async ({ run, engine }) => {
      const memory = engine === 'none' ? notLimited : await tryMemory(run);
      return { memory, swap: swapFinding(memory) };
    },
  },
  limitTrial('pids', ({ run }) => tryPids(run)),
  limitTrial('cpu', ({ run }) => tryCpu(run)),
  limitTrial('tmpfs', ({ run }) => tryScratch(run)),
  limitTrial('disk', ({ run, workspace }) => tryDisk(run, workspace)),
  limitTrial('networkNone', ({ run }) => tryNetwork(run)),
  { facts: ['seccomp'], run: async ({ run }) => ({ seccomp: await trySeccomp(run) }) },
  { facts: ['abstractSockets'], run: async ({ run }) => ({ abstractSockets: await tryAbstractSockets(run) }) },
];

const staticScript = `
echo "uid=$(id -u)"
grep -E '^(CapEff|CapBnd|NoNewPrivs):' /proc/self/status | sed 's/:[[:space:]]*/=/'
for f in /coppice-probe /usr/coppice-probe /etc/coppice-probe /var/tmp/coppice-probe; do if ( : > $f ) 2>/dev/null; then rm -f $f; echo "rootWritable=$f"; fi; done
for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sysrq-trigger; do if ( : >> $f ) 2>/dev/null; then echo "kernelWritable=$f"; fi; done
echo "processes=$(ls /proc | grep -c '^[0-9]*$')"
case "$(uname -m)" in x86_64) n=272;; aarch64) n=97;; *) n=;; esac
if command -v unshare >/dev/null; then if unshare -U true 2>/dev/null; then echo userns=made; else echo userns=refused; fi
elif [ -n "$n" ] && perl -e 1 2>/dev/null; then if perl -e "exit(syscall($n, 0x10000000) == 0 ? 0 : 1)"; then echo userns=made; else echo userns=refused; fi
else echo userns=untried; fi
`;

async function staticFacts(run: Run, uid: number): Promise<Record<StaticFact, Enforcement>> {
  const { stdout } = answered(await run(staticScript));
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

/**
 * Starts several processes that each use less memory than the limit. A limit per process would allow all of them. A
 * limit on their sum doesn't.
 */
async function tryMemory(run: Run): Promise<Enforcement> {
  // Each process creates a file when it has all of its memory or was killed. It keeps the memory until all files exist.
  const hold = `n=0; while set -- hog.*; [ $# -lt ${hogsTried} ] && [ $n -lt ${hogHoldsMax} ]; do sleep 0.1; n=$((n+1)); done; [ $# -ge ${hogsTried} ] || : > late`;
  const hogs = Array.from(
    { length: hogsTried },
    (_, index) =>
      `(head -c ${hogMebibytes}m /dev/zero && : > hog.${index}.full || : > hog.${index}.ended; ${hold}) | tail | wc -c &`,
  );
  const script = `${hogs.join(' ')} wait; [ ! -e late ] || echo late`;
  const result = answered(await run(script, { memoryBytes: probeLimits.memoryBytes }));
  const lines = result.stdout.text.split('\n').map((line) => line.trim());
  const survivors = lines.filter((line) => line === String(hogMebibytes * mebibyte)).length;
  const how = `of ${hogsTried} processes that took ${hogMebibytes} MiB each under a limit of ${probeLimits.memoryBytes / mebibyte} MiB, ${survivors} lived`;
  // On a busy machine, the processes may have used their memory one after the other.
  if (survivors > 1 && lines.includes('late'))
    throw new NoAnswer('engine-unavailable', `${how}, but not all of them at once`);
  return { enforced: survivors <= 1, how };
}

function swapFinding(memory: Enforcement): Enforcement {
  const swaps = existsSync('/proc/swaps') ? readFileSync('/proc/swaps', 'utf8').trim().split('\n').length - 1 : 0;
  if (!memory.enforced) return { enforced: false, how: 'memory itself is not limited' };
  const how = swaps === 0 ? 'this host has no swap' : 'a process over its memory was ended although this host has swap';
  return { enforced: true, how };
}

async function tryPids(run: Run): Promise<Enforcement> {
  const script = `i=0; while [ $i -lt ${processesTried} ]; do sleep 60 & i=$((i+1)); done; echo all; kill $(jobs -p) 2>/dev/null`;
  const result = await run(script, { pids: probeLimits.pids });
  const tried = `${processesTried} processes at once under a limit of ${probeLimits.pids}`;
  if (result.stdout.text.includes('all')) return { enforced: false, how: `${tried} were started` };
  // When fork fails, some shells exit and others retry until they are killed.
  const isRefused = /fork/i.test(result.stderr.text);
  if (!isRefused) answered(result);
  const how = isRefused ? 'were refused' : `could not be tried: ${result.stderr.text.trim()}`;
  return { enforced: isRefused, how: `${tried} ${how}` };
}

/**
 * Checks the kernel's count of throttled periods, since on a busy machine a command may get little CPU time for other reasons. If the
 * engine does not report the count, the command reads it inside the sandbox.
 */
async function tryCpu(run: Run): Promise<Enforcement> {
  let how = '';
  for (const tryMs of cpuMsTried) {
    const loops = `(while :; do :; done) & a=$!; (while :; do :; done) & b=$!; sleep ${tryMs / 1000}; kill $a $b; wait`;
    const script = `${loops}; times; cat /sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpu/cpu.stat 2>/dev/null; true`;
    const result = answered(await run(script, { cpus: probeLimits.cpus }));
    const seen = /^nr_throttled (\d+)$/m.exec(result.stdout.text)?.[1];
    const periods = result.throttledPeriods ?? Number(seen ?? 0);
    const usedMs = childrenMs(result.stdout.text);
    how = `under a limit of ${probeLimits.cpus} processors two busy loops were held back in ${periods} periods, and got ${Math.round(usedMs)} ms of ${result.durationMs} ms`;
    if (periods > 0) return { enforced: true, how };
    const hasCounter = result.throttledPeriods !== undefined || seen !== undefined;
    if (!hasCounter || usedMs > cpuExcessMin * probeLimits.cpus * result.durationMs) return { enforced: false, how };
  }
  throw new NoAnswer('engine-unavailable', `${how}: too little to be held back`);
}

/** Parses the second line of `times`, the CPU time of child processes that have ended: `1m2.5s 0m0.1s`. */
function childrenMs(text: string): number {
  const times = [...text.matchAll(/(\d+)m([\d.]+)s/g)].slice(2, 4);
  return times.reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60_000 + Number(seconds) * 1_000, 0);
}

async function tryScratch(run: Run): Promise<Enforcement> {
  const bytes = 3 * probeLimits.scratchBytes;
  const script = `f=$(mktemp /tmp/coppice-probe.XXXXXX) && head -c ${bytes} /dev/zero 2>/dev/null > $f; wc -c < $f; rm -f $f`;
  const result = answered(await run(script, { scratchBytes: probeLimits.scratchBytes }));
  const written = Number(result.stdout.text.trim());
  return {
    enforced: Number.isFinite(written) && written <= probeLimits.scratchBytes,
    how: `of ${bytes} bytes, ${written} went into /tmp under a limit of ${probeLimits.scratchBytes}`,
  };
}

/**
 * Tests both disk limits. The kernel limits the size of one file. The disk check (disk-watch.ts) limits the sum of all
 * files.
 */
async function tryDisk(run: Run, workspace: string): Promise<Enforcement> {
  const bytes = 2 * probeLimits.diskBytes;
  const script = `head -c ${bytes} /dev/zero 2>/dev/null > big; wc -c < big; rm -f big; mkdir many; for i in 1 2 3; do head -c ${probeLimits.diskBytes / 2} /dev/zero > many/part$i; done`;
  const [result, areHeldSeen] = await Promise.all([
    run(script, { diskBytes: probeLimits.diskBytes }).then(answered),
    seesHeldFiles(run, workspace),
  ]);
  const written = Number(result.stdout.text.trim());
  const budget = { folders: [join(workspace, 'many')], bytesMax: probeLimits.diskBytes };
  const seen = (await usedBytes(budget, new AbortController().signal)) > budget.bytesMax;
  const one = `of a file of ${bytes} bytes, ${written} were written under a limit of ${probeLimits.diskBytes}`;
  const many = seen
    ? 'the sum of several is seen by a watch and ended up to a few seconds late'
    : 'several files went unseen';
  const held = areHeldSeen
    ? 'and so are deleted files that are still open'
    : "deleted files that are still open aren't counted: the sandbox's processes can't be read from here";
  return { enforced: written <= probeLimits.diskBytes && seen, how: `${one}; ${many}; ${held}` };
}

/** Tests whether the disk check finds a deleted file if a command still has it open. */
async function seesHeldFiles(run: Run, workspace: string): Promise<boolean> {
  const script = `exec 3>held; rm held; head -c ${2 * heldBytesMax} /dev/zero >&3; : > ${heldMark}; while [ -e ${heldMark} ]; do sleep 0.1; done`;
  return answered(await run(script, {}, 'none', new HeldFileCheck(join(workspace, heldMark)))).diskExceeded;
}

/** Name of a file in the workspace. It exists while the command has its deleted file open. */
const heldMark = 'held-open';

/**
 * A disk check that reports an exceeded limit when it finds a large deleted file that the command has open. After
 * `heldLooksMax` checks without a find, it gives up, since this process can't read the command's processes. It counts
 * checks instead of time, since a check may be slow on a busy machine.
 */
class HeldFileCheck implements DiskCheck {
  readonly #mark: string;

  constructor(mark: string) {
    this.#mark = mark;
  }

  async watch(signal: AbortSignal, command: Pick<RunningCommand, 'firstProcess'>): Promise<boolean> {
    for (let looks = 0; looks < heldLooksMax && !signal.aborted;) {
      // `sleep` rejects only because of an abort, which the loop's condition checks.
      await sleep(heldLookMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (!existsSync(this.#mark)) continue;
      looks++;
      const firstProcess = command.firstProcess();
      if (firstProcess !== undefined && (await heldBytes([firstProcess], [])) > heldBytesMax) return true;
    }
    // The command ends when this file is removed.
    await rm(this.#mark, { force: true });
    return false;
  }

  async isExceeded(): Promise<boolean> {
    return false;
  }
}

/** Exit code of `timeout` after it ended its command. */
const timeoutExitCode = 124;

async function tryNetwork(run: Run): Promise<Enforcement> {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const script = `command -v git >/dev/null && echo tried; timeout ${connectSecondsMax} git ls-remote git://127.0.0.1:${port}/probe >/dev/null 2>&1; echo "ended-$?"; grep ':' /proc/net/dev | cut -d: -f1 | tr -d ' ' | tr '\\n' ' '`;
    const result = answered(await run(script));
    const words = result.stdout.text.trim().split(/\s+/);
    const isTried = words.includes('tried');
    if (isTried && connections === 0 && words.includes(`ended-${timeoutExitCode}`))
      throw new NoAnswer('engine-unavailable', `no answer within ${connectSecondsMax} s`);
    const interfaces = words.filter((word) => word !== 'tried' && !word.startsWith('ended-'));
    const others = interfaces.filter(
      (name) => name !== 'lo' && !/^(tunl|sit|ip6tnl|gre|gretap|erspan|ip_vti|ip6_vti|ip6gre)\d*$/.test(name),
    );
    const how = `a connection to the host's loopback ${connections === 0 ? 'failed' : 'came through'}; interfaces besides lo: ${others.join(', ') || 'none'}`;
    return { enforced: isTried && connections === 0 && others.length === 0, how };
  } catch (error) {
    if (error instanceof NoAnswer) throw error;
    return { enforced: false, how: `the probe failed: ${reasonOf(error)}` };
  } finally {
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}
