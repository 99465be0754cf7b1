/**
 * Conformance tests of isolation. Each test tries to break out of a sandbox. The attempt must fail, or the engine must
 * report the property as not enforced.
 */
import { execFile } from 'node:child_process';
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ConformanceOptions } from './conformance.ts';
import type { EngineFixture } from './conformance-fixture.ts';
import { enforceable, type Enforceable, type EngineReport } from './port.ts';

const mebibyte = 1024 * 1024;

export function describeIsolation(current: () => EngineFixture, { engine, mustEnforce }: ConformanceOptions): void {
  describe('isolation', () => {
    let report: EngineReport | undefined;
    beforeAll(async () => {
      // Undefined if the engine is missing. `beforeEach` then skips or fails each test.
      report = await current()?.engine.probe();
    });

    /**
     * Defines a test. If the engine reports the property as enforced, the attack must fail. Otherwise `mustEnforce`
     * must not contain the property, and the engine must reject a sandbox that requires it.
     */
    const property = (name: Enforceable, title: string, attack: (fixture: EngineFixture) => Promise<void>) => {
      test(`${name}: ${title}`, async () => {
        const finding = report?.enforces[name];
        if (finding?.enforced === true) return await attack(current());
        expect(mustEnforce).not.toContain(name);
        expect(finding).toMatchObject({ enforced: false, how: expect.stringMatching(/./) as string });
        const spec = await current().specification({ requires: [name] });
        await expect(current().engine.create(spec)).rejects.toMatchObject({ code: 'engine-unavailable' });
      });
    };

    test('reports that it enforces what it must, and how each property was tested', () => {
      const missing = mustEnforce.filter((name) => report?.enforces[name].enforced !== true);
      expect(missing.map((name) => `${name}: ${report?.enforces[name].how}`)).toEqual([]);
      expect(Object.keys(report?.enforces ?? {}).toSorted()).toEqual([...enforceable].toSorted());
      expect(report?.engine).toBe(engine);
    });

    property(
      'networkNone',
      'neither the host’s loopback interface nor any other address can be reached',
      attackNetwork,
    );
    property(
      'abstractSockets',
      'no abstract socket of the host can be reached, whatever the network policy',
      attackAbstractSockets,
    );
    property('readOnlyRoot', 'nothing outside of the mounts can be written', attackRoot);
    property('processIsolation', 'no process of the host can be seen or signalled', attackProcesses);
    property('kernelSettings', 'settings of the kernel can’t be written', attackKernelSettings);
    property('noCapabilities', 'not one capability', async (fixture) => {
      const status = await statusOf(fixture);
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
        expect(status.get(set)).toBe('0000000000000000');
    });
    property('noNewPrivileges', 'set-uid programs gain nothing', async (fixture) => {
      expect((await statusOf(fixture)).get('NoNewPrivs')).toBe('1');
    });
    property('seccomp', 'a filter is active, and rejects the calls that kernel exploits start with', attackSystemCalls);
    property('userNamespaces', 'no user namespace can be created', async (fixture) => {
      const sandbox = await fixture.sandbox();
      const number = process.arch === 'x64' ? 272 : 97;
      const { stdout } = await sandbox.exec(['perl', '-e', `print syscall(${number}, 0x10000000)`]);
      expect(stdout.text).toBe('-1');
    });
    property('nonRoot', 'not uid 0', async (fixture) => {
      const sandbox = await fixture.sandbox();
      const { uid, gid } = fixture.launcher.defaultUser();
      expect((await sandbox.exec('echo $(id -u) $(id -g) $(id -G)')).stdout.text).toBe(`${uid} ${gid} ${gid}\n`);
      if (engine !== 'none') expect((await sandbox.exec('id -un')).stdout.text).toBe('agent\n');
    });
    property('ownUid', 'commands have a uid other than the stack’s', async (fixture) => {
      const sandbox = await fixture.sandbox();
      expect((await sandbox.exec('id -u')).stdout.text.trim()).not.toBe(String(process.getuid?.()));
    });
    property('memory', 'a command over its memory limit is ended and reported as such', attackMemory);
    property('swap', 'memory over the limit isn’t swapped out', attackMemory);
    property('pids', 'the number of processes is limited, and a fork bomb can be ended', attackPids);
    property('cpu', 'processor time is limited', attackCpu);
    property('tmpfs', '/tmp and /dev/shm are bounded', attackScratch);
    property('disk', 'the size of a file and the sum of many files are limited', attackDisk);

    test('other users of the machine can not access the home folder', async () => {
      const sandbox = await current().sandbox();
      await sandbox.exec('echo secret > ~/file; chmod 644 ~/file');
      const file = join(current().data, 'engine/sandboxes', sandbox.id, 'home/file');
      expect(await readFile(file, 'utf8')).toBe('secret\n');
      const isRoot = process.getuid?.() === 0;
      // Lets other users enter the data folder, so that only the permissions of the folders inside stop them.
      await chmod(current().data, 0o755);
      const other = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--', 'cat', file];
      // Without root, setpriv can't change the user.
      await expect(promisify(execFile)(other[0] ?? '', other.slice(1))).rejects.toThrow(
        /Permission denied|Operation not permitted/,
      );
      expect((await stat(dirname(dirname(file)))).mode & 0o777).toBe(isRoot ? 0o710 : 0o700);
    });

    test('read-only mounts reject writes, and a file mounted over a file can not be replaced', () =>
      expectMountsHold(current()));
    test('network full includes name resolution, or fails with an error about the network', async () => {
      const spec = await current().specification({ network: 'full' });
      const answer = await current()
        .engine.run(spec, 'cat /etc/resolv.conf')
        .then(
          ({ exitCode, stdout }) => ({ exitCode, text: stdout.text }),
          (error: Error) => ({ exitCode: 0, text: error.message }),
        );
      expect(answer.exitCode).toBe(0);
      // Docker writes its own file. The other engines mount the host's file.
      const expected = engine === 'docker' ? /nameserver|network|bridge/ : await readFile('/etc/resolv.conf', 'utf8');
      expect(answer.text).toMatch(expected);
    });
  });
}

async function statusOf(fixture: EngineFixture): Promise<Map<string, string>> {
  const sandbox = await fixture.sandbox();
  const { stdout } = await sandbox.exec('cat /proc/self/status');
  return new Map(stdout.text.split('\n').map((line) => line.split(/:\s*/) as [string, string]));
}

async function attackNetwork(fixture: EngineFixture): Promise<void> {
  const sandbox = await fixture.sandbox();
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  const { port } = server.address() as AddressInfo;
  const attack = `
    const { connect } = require('node:net');
    const { networkInterfaces } = require('node:os');
    for (const host of ['127.0.0.1', '172.17.0.1', '169.254.169.254']) {
      const socket = connect({ host, port: ${port}, timeout: 500 });
      socket.on('connect', () => { console.log('reached', host); process.exit(); });
      socket.on('error', (error) => console.log(error.code));
      socket.on('timeout', () => socket.destroy());
    }
    console.log(Object.keys(networkInterfaces()).filter((name) => name !== 'lo').length);`;
  const result = await sandbox.exec(['node', '-e', attack]).finally(() => server.close());
  expect(result.stdout.text).not.toContain('reached');
  expect(result.stderr.text).toBe('');
  expect(result.stdout.text.startsWith('0\n')).toBe(true);
  expect(connections).toBe(0);
}

async function attackAbstractSockets(fixture: EngineFixture): Promise<void> {
  const name = `coppice-conformance-${process.pid}`;
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.end();
  });
  await new Promise<void>((resolve) => server.listen(`\0${name}`, resolve));
  const attack = `require('node:net').connect('\\0${name}').on('connect', () => console.log('reached')).on('error', (error) => console.log(error.code))`;
  try {
    for (const network of ['none', 'full'] as const) {
      const sandbox = await fixture.sandbox({ network });
      expect((await sandbox.exec(['node', '-e', attack])).stdout.text).toBe('ECONNREFUSED\n');
    }
    expect(connections).toBe(0);
  } finally {
    server.close();
  }
}

/**
 * Calls that the filter rejects, with call numbers for [x64, arm64], arguments and the expected error. EPERM is 1,
 * ENOSYS is 38.
 */
const refusedCalls: readonly [what: string, numbers: readonly [number, number], values: string, error: number][] = [
  ['mount', [165, 40], '0, 0, 0, 0, 0', 1],
  ['bpf', [321, 280], '0, 0, 0', 1],
  ['ptrace', [101, 117], '0, 0, 0, 0', 1],
  ['process_vm_readv', [310, 270], '$$, 0, 0, 0, 0, 0', 1],
  ['userfaultfd', [323, 282], '0', 1],
  ['keyctl', [250, 219], '0, 0', 1],
  ['unshare', [272, 97], '0x10000000', 1],
  ['clone of a user namespace', [56, 220], '0x10000011, 0, 0, 0, 0', 1],
  ['clone3', [435, 435], '0, 0', 38],
  ['io_uring_setup', [425, 425], '1, 0', 38],
  ['a socket of AF_VSOCK', [41, 198], '40, 1, 0', 1],
  ['a socket of AF_ALG', [41, 198], '38, 5, 0', 1],
  ['a socket of AF_VSOCK with a high word', [41, 198], '40 | (1 << 32), 1, 0', 1],
  ['a pair of sockets of AF_TIPC', [53, 199], '30, 1, 0, 0', 1],
  ['personality', [135, 92], '0x0400000', 1],
  ['TIOCSTI', [16, 29], '0, 0x5412, 0', 1],
  ['TIOCSTI with a high word', [16, 29], '0, 0x5412 | (1 << 32), 0', 1],
];
/** Calls that builds and tests need, with the expected error or 0. */
const allowedCalls: readonly [what: string, numbers: readonly [number, number], values: string, error: number][] = [
  ['a socket of AF_NETLINK', [41, 198], '16, 3, 0', 0],
  ['a socket of AF_UNIX', [41, 198], '1, 1, 0', 0],
  ['a socket of AF_INET6', [41, 198], '10, 1, 0', 0],
  ['personality of itself', [135, 92], '0xffffffff', 0],
  // 25 is ENOTTY. This error comes from the kernel, so the filter has allowed the call.
  ['TCGETS', [16, 29], '0, 0x5401, 0', 25],
  ['ioctl with other bits', [16, 29], '0, 0xdeadbeef, 0', 25],
];

async function attackSystemCalls(fixture: EngineFixture): Promise<void> {
  expect((await statusOf(fixture)).get('Seccomp')).toBe('2');
  const sandbox = await fixture.sandbox();
  const calls = [...refusedCalls, ...allowedCalls];
  const lines = calls.map(([what, numbers, values]) => {
    const number = numbers[process.arch === 'x64' ? 0 : 1];
    return `$! = 0; my $r = syscall(${number}, ${values}); print "${what}: ", ($r == -1 ? 0+$! : 0), "\\n";`;
  });
  const { stdout, stderr } = await sandbox.exec(['perl', '-e', lines.join('').replaceAll('my $r', '$r')]);
  expect(stderr.text).toBe('');
  expect(stdout.text.trimEnd().split('\n')).toEqual(calls.map(([what, , , error]) => `${what}: ${error}`));
  // The x32 interface must be blocked. Threads and sockets of a real program must work.
  const x32 = process.arch === 'x64' ? await sandbox.exec(['perl', '-e', 'print syscall(0x40000000 | 39)']) : undefined;
  expect(x32 === undefined || x32.exitCode !== 0 || x32.stdout.text === '-1').toBe(true);
  const program = `
    const { createServer, connect } = require('node:net');
    const { networkInterfaces } = require('node:os');
    networkInterfaces();
    new Worker('setTimeout(() => require("node:worker_threads").parentPort.postMessage("thread"), 1)', { eval: true }).on('message', (text) => {
      const server = createServer((socket) => socket.end(text)).listen('\\0of-the-sandbox', () => {
        connect('\\0of-the-sandbox').on('data', (bytes) => { console.log(String(bytes)); server.close(); });
      });
    });`;
  const real = await sandbox.exec(['node', '-e', `const { Worker } = require('node:worker_threads');${program}`]);
  expect(real.stdout.text + real.stderr.text).toBe('thread\n');
}

async function attackRoot(fixture: EngineFixture): Promise<void> {
  const sandbox = await fixture.sandbox();
  const places = [
    '/',
    '/usr',
    '/usr/bin',
    '/etc',
    '/bin',
    '/var',
    '/var/tmp',
    '/opt',
    '/home',
    '/dev',
    '/root',
    '/run',
  ];
  const attack = `for f in ${places.join(' ')}; do if (: > $f/planted) 2>/dev/null; then echo $f; fi; done; true`;
  expect((await sandbox.exec(attack)).stdout.text).toBe('');
  expect(
    (await sandbox.exec('rm -rf /usr/bin/env /etc/passwd 2>/dev/null; ls /usr/bin/env /etc/passwd')).exitCode,
  ).toBe(0);
}

async function attackProcesses(fixture: EngineFixture): Promise<void> {
  const sandbox = await fixture.sandbox();
  const { stdout } = await sandbox.exec(
    'cat /proc/[0-9]*/cmdline | tr "\\0" " "; ls -d /proc/[0-9]* | wc -l; kill -0 -1; true',
  );
  expect(stdout.text).not.toContain('vitest');
  expect(Number(stdout.text.trim().split(/\s+/).at(-1))).toBeLessThan(10);
  // The sandbox must not read the environment of the program that started it.
  const { stdout: environments } = await sandbox.exec('cat /proc/*/environ 2>/dev/null | tr "\\0" "\\n"');
  expect(environments.text).not.toContain('VITEST');
}

async function attackKernelSettings(fixture: EngineFixture): Promise<void> {
  const sandbox = await fixture.sandbox();
  const files = [
    '/proc/sys/kernel/core_pattern',
    '/proc/sys/vm/overcommit_memory',
    '/proc/sys/kernel/hostname',
    '/proc/sysrq-trigger',
  ];
  const attack = `for f in ${files.join(' ')}; do if (: >> $f) 2>/dev/null; then echo $f; fi; done; mount -o remount,rw /proc/sys 2>/dev/null && echo remounted; true`;
  expect((await sandbox.exec(attack)).stdout.text).toBe('');
}

async function attackMemory(fixture: EngineFixture): Promise<void> {
  const sandbox = await fixture.sandbox({ limits: { memoryBytes: 64 * mebibyte, pids: 64 } });
  const result = await sandbox.exec(['perl', '-e', 'my @a; push @a, "x" x 1048576 for 1 .. 400; print "survived"'], {
    timeoutMs: 20_000,
  });
  expect(result).toMatchObject({ exitCode: 137, signal: 'SIGKILL', oomKilled: true, timedOut: false });
  expect(result.stdout.text).toBe('');
  expect(await sandbox.exec('echo alive')).toMatchObject({ exitCode: 0, oomKilled: false });
}

async function attackPids(fixture: EngineFixture): Promise<void> {
  const sandbox = await fixture.sandbox({ limits: { memoryBytes: 256 * mebibyte, pids: 32 } });
  const bomb =
    'use POSIX; my $n = 0; for (1 .. 200) { my $p = fork; last unless defined $p; if ($p == 0) { sleep 20; exit } $n++ } print $n';
  const { stdout } = await sandbox.exec(['perl', '-e', bomb], { timeoutMs: 15_000 });
  expect(Number(stdout.text)).toBeGreaterThan(5);
  expect(Number(stdout.text)).toBeLessThan(32);
  const endless = await sandbox.exec(['perl', '-e', 'fork while 1'], { timeoutMs: 1_000 });
  expect(endless.timedOut).toBe(true);
  expect((await sandbox.exec('echo alive')).stdout.text).toBe('alive\n');
}

async function attackCpu(fixture: EngineFixture): Promise<void> {
  const sandbox = await fixture.sandbox({ limits: { cpus: 0.2 } });
  const spin =
    'my $child = fork; my $end = time + 2; 1 while time < $end; exit unless $child; wait; my @t = times; print $t[0] + $t[2]';
  const result = await sandbox.exec(['perl', '-e', spin]);
  expect(Number(result.stdout.text)).toBeLessThan((result.durationMs / 1000) * 0.2 * 1.5);
}

async function attackScratch(fixture: EngineFixture): Promise<void> {
  const sandbox = await fixture.sandbox({ limits: { scratchBytes: 4 * mebibyte } });
  for (const folder of ['/tmp', '/dev/shm']) {
    const { stdout } = await sandbox.exec(`head -c 9000000 /dev/zero > ${folder}/f 2>/dev/null; wc -c < ${folder}/f`);
    expect(Number(stdout.text)).toBeLessThanOrEqual(4 * mebibyte);
  }
}

async function attackDisk(fixture: EngineFixture): Promise<void> {
  const sandbox = await fixture.sandbox({ limits: { diskBytes: 8 * mebibyte } });
  const one = await sandbox.exec('head -c 20000000 /dev/zero > big 2>/dev/null; wc -c < big; rm big');
  expect(Number(one.stdout.text)).toBeLessThanOrEqual(8 * mebibyte);
  const many = await sandbox.exec(
    'i=0; while :; do head -c 1000000 /dev/zero > part$((i%40)); i=$((i+1)); sleep 0.02; done',
    { timeoutMs: 15_000 },
  );
  expect(many).toMatchObject({ diskExceeded: true, timedOut: false });
  // This command ends before the first disk check.
  const short = await fixture.sandbox({ limits: { diskBytes: 8 * mebibyte } });
  const quick = await short.exec('for i in 1 2 3; do head -c 5000000 /dev/zero > quick$i; done');
  expect(quick).toMatchObject({ diskExceeded: true });
  expect(await short.exec('true')).toMatchObject({ diskExceeded: true });
  expect(await short.exec('rm quick*')).toMatchObject({ diskExceeded: false });
  const home = await fixture.sandbox({ limits: { scratchBytes: 4 * mebibyte } });
  const inHome = await home.exec(
    'cd; i=0; while :; do head -c 500000 /dev/zero > part$((i%40)); i=$((i+1)); sleep 0.02; done',
    { timeoutMs: 15_000 },
  );
  expect(inHome).toMatchObject({ diskExceeded: true, timedOut: false });
  await attackDiskByDeletedFiles(fixture);
}

async function attackDiskByDeletedFiles(fixture: EngineFixture): Promise<void> {
  // On other systems, the sandbox's processes run in a virtual machine, where their deleted files can't be counted.
  if (process.platform !== 'linux') return;
  const { enforces } = await fixture.engine.probe();
  expect(enforces.disk.how).toContain('and so are deleted files that are still open');
  const sandbox = await fixture.sandbox({ limits: { diskBytes: 8 * mebibyte } });
  const hold = 'exec 3>f$i; rm f$i; head -c 6000000 /dev/zero >&3';
  const one = await sandbox.exec(`${hold}; sleep 3`, { timeoutMs: 60_000 });
  expect(one).toMatchObject({ exitCode: 0, diskExceeded: false });
  const several = await sandbox.exec(`for i in 1 2; do (${hold}; sleep 60) & done; wait`, { timeoutMs: 60_000 });
  expect(several).toMatchObject({ diskExceeded: true, timedOut: false });
  // Scratch folders are in memory and have their own limit.
  const inScratch = await fixture.sandbox({ limits: { diskBytes: 2 * mebibyte, scratchBytes: 8 * mebibyte } });
  const scratch = await inScratch.exec(`cd /tmp; head -c 6000000 /dev/zero > f; exec 3<f; rm f; sleep 3`);
  expect(scratch).toMatchObject({ diskExceeded: false });
}

async function expectMountsHold(fixture: EngineFixture): Promise<void> {
  if (fixture.engine.name === 'none') return;
  const workspace = await fixture.folder();
  const store = await fixture.folder();
  const privateFolder = await fixture.folder();
  await writeFile(join(workspace, '.git'), 'gitdir: /host/metadata\n');
  await writeFile(join(store, 'object'), 'object');
  const link = await fixture.write(join(fixture.data, `link-file-${Date.now()}`), 'gitdir: /coppice/git\n');
  const sandbox = await fixture.sandbox({
    workspace: { source: workspace, readOnly: false },
    mounts: [
      { source: link, target: '/workspace/.git', readOnly: true },
      { source: store, target: '/coppice/origin.git', readOnly: true },
      { source: privateFolder, target: '/coppice/git', readOnly: false },
    ],
  });
  expect((await sandbox.exec('cat .git /coppice/origin.git/object')).stdout.text).toBe('gitdir: /coppice/git\nobject');
  const attack = await sandbox.exec(
    '(echo x > .git) ; rm -f .git; mv .git away; (echo x > /coppice/origin.git/object); rm /coppice/origin.git/object; echo ok > /coppice/git/file; echo ok > file',
  );
  expect(attack.stderr.text.trim().split('\n').length).toBeGreaterThanOrEqual(5);
  expect(await readFile(join(workspace, '.git'), 'utf8')).toBe('gitdir: /host/metadata\n');
  expect(await readFile(link, 'utf8')).toBe('gitdir: /coppice/git\n');
  expect(await readFile(join(store, 'object'), 'utf8')).toBe('object');
  expect(await readFile(join(privateFolder, 'file'), 'utf8')).toBe('ok\n');

  const readOnly = await fixture.sandbox({ workspace: { source: workspace, readOnly: true } });
  expect((await readOnly.exec('cat file; echo more >> file')).exitCode).not.toBe(0);
  expect(await readFile(join(workspace, 'file'), 'utf8')).toBe('ok\n');
}
