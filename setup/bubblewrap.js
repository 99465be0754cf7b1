/** Set-up step that finds or fetches bubblewrap. A bubblewrap is accepted only if a command runs in its sandbox. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasApt, unpackPackages } from './apt.js';
import { linkProgram } from './cache.js';
import { binFolder, cacheFolder } from './paths.js';
import { lastLines, say } from './report.js';
import { findOnPath, run } from './run.js';
import { parseVersion } from './versions.js';

const probeTimeoutMs = 15_000;

/** Debian and Ubuntu packages with the libraries that bubblewrap needs. They are fetched if the machine lacks one of the libraries. */
const libraryPackages = ['libcap2', 'libselinux1', 'libpcre2-8-0'];

/** Uid and gid of the probe command if this process is root. They belong to the user nobody. */
const unprivilegedId = '65534';

/**
 * @typedef {{ path: string, version: string }} Bubblewrap
 * @returns {Promise<{ found?: Bubblewrap, tried: readonly string[] }>}
 */
export async function findBubblewrap() {
  if (process.platform !== 'linux') return { tried: ['bubblewrap: Linux only'] };
  /** @type {string[]} */
  const tried = [];
  for (const source of [fromCache, fromPath, fromDistribution]) {
    const program = await source(tried);
    const found = program === undefined ? undefined : accept(program, tried);
    if (found !== undefined) return { found, tried };
  }
  return { tried };
}

function fromCache() {
  const link = join(binFolder, 'bwrap');
  return versionOf(link) === undefined ? undefined : link;
}

/** @param {string[]} tried */
function fromPath(tried) {
  const program = findOnPath('bwrap');
  if (program === undefined) tried.push('bubblewrap: not on PATH');
  return program;
}

/** @param {string[]} tried */
async function fromDistribution(tried) {
  if (versionOf(join(binFolder, 'bwrap')) !== undefined) return undefined;
  if (!hasApt()) {
    tried.push("bubblewrap: the distribution's package can't be fetched, since apt-get is missing");
    return undefined;
  }
  say("fetching bubblewrap (this distribution's package, unpacked into the cache folder)");
  const target = join(cacheFolder, 'deb', 'bubblewrap');
  const failure = await unpackPackages({ packages: ['bubblewrap'], from: 'machine', target });
  if (failure !== undefined) {
    tried.push(`bubblewrap: ${failure}`);
    return undefined;
  }
  const program = join(target, 'usr/bin/bwrap');
  return librariesAreMissing(program) ? withOwnLibraries(target, tried) : program;
}

/** @param {string} program */
function librariesAreMissing(program) {
  return /not found/.test(run('ldd', [program]).output);
}

/**
 * Writes a script that starts bubblewrap through the dynamic loader, with the unpacked libraries. The script doesn't
 * set LD_LIBRARY_PATH, since the command in the sandbox would get that variable too.
 * @param {string} target
 * @param {string[]} tried
 */
async function withOwnLibraries(target, tried) {
  const failure = await unpackPackages({ packages: ['bubblewrap', ...libraryPackages], from: 'machine', target });
  const loader = /\/\S*\/ld-linux\S*/.exec(run('ldd', ['/bin/sh']).output)?.[0];
  if (failure !== undefined || loader === undefined) {
    tried.push(`bubblewrap: its libraries are missing (${failure ?? 'no dynamic loader found'})`);
    return undefined;
  }
  const wrapper = join(target, 'bwrap');
  const architecture = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  const lines = [
    '#!/bin/sh',
    'here=$(dirname "$(readlink -f "$0")")',
    `libraries="$here/usr/lib/${architecture}:$here/lib/${architecture}"`,
    `exec ${loader} --library-path "$libraries" "$here/usr/bin/bwrap" "$@"`,
  ];
  writeFileSync(wrapper, `${lines.join('\n')}\n`);
  chmodSync(wrapper, 0o755);
  return wrapper;
}

/**
 * @param {string} program
 * @param {string[]} tried
 * @returns {Bubblewrap | undefined}
 */
function accept(program, tried) {
  const version = versionOf(program);
  if (version === undefined) {
    tried.push(`bubblewrap: ${program} does not start (${lastLines(run(program, ['--version']).output)})`);
    return undefined;
  }
  const probe = probeBubblewrap(program);
  if (!probe.ok) {
    tried.push(`bubblewrap: a probe command did not run in ${program} (${lastLines(probe.output)})`);
    return undefined;
  }
  return { path: program === join(binFolder, 'bwrap') ? program : linkProgram('bwrap', program), version };
}

/**
 * Runs a command in a sandbox as a user other than root, as container-service does. setpriv still has root's rights
 * when it opens the program. So this works even if only root can enter the checkout's folder.
 * @param {string} program
 */
function probeBubblewrap(program) {
  const mounts = ['--ro-bind', '/', '/', '--dev', '/dev', '--proc', '/proc', '--tmpfs', '/tmp'];
  const sandbox = ['--unshare-all', '--die-with-parent', ...mounts];
  const command = [program, ...sandbox, '--', '/bin/sh', '-c', 'test "$(id -u)" -ne 0 && echo coppice-probe'];
  const [starter = program, ...args] = isRoot()
    ? ['setpriv', '--reuid', unprivilegedId, '--regid', unprivilegedId, '--clear-groups', '--inh-caps=-all', ...command]
    : command;
  const result = run(starter, args, { cwd: '/', timeoutMs: probeTimeoutMs });
  return { ok: result.ok && result.stdout.trim() === 'coppice-probe', output: result.output };
}

function isRoot() {
  return process.getuid?.() === 0;
}

/** @param {string} program */
function versionOf(program) {
  const result = run(program, ['--version']);
  return result.ok ? parseVersion(result.stdout) : undefined;
}
