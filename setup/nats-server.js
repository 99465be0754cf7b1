/** Set-up step that finds or fetches a nats-server that has at least the minimum version. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasApt, unpackPackages } from './apt.js';
import { inTemporaryFolder, linkProgram, moveIntoPlace } from './cache.js';
import { binFolder, cacheFolder } from './paths.js';
import { lastLines, say, SetupError } from './report.js';
import { findOnPath, run } from './run.js';
import { isAtLeast, natsServerVersionMin, parseVersion } from './versions.js';

const downloadTimeoutMs = 3 * 60_000;
const connectTimeoutSeconds = 10;
const releaseVersion = '2.14.2';

/**
 * SHA-256 digests of the release's tarballs. The digests for Linux are from the Dockerfile of the publisher's image
 * (nats-io/nats-docker, 2.14.2). Docker's record of the official image has the same digests. The digest for macOS on
 * ARM is from a third party's installer, since no other public source was found. If this digest is wrong, set-up
 * rejects the release. For macOS on Intel no digest was found, so set-up doesn't fetch the release.
 * @type {Record<string, { asset: string, sha256: string } | undefined>}
 */
export const releases = {
  'linux-x64': { asset: 'linux-amd64', sha256: 'b3e7b14eb10c895fd90c2dacdb6b65bd3208adcc9524dd7689ba2c1024e6b97a' },
  'linux-arm64': { asset: 'linux-arm64', sha256: '15fd0c3438e7178e5316e63be68373ad581c8d78db26e649113aa303b74e5e58' },
  'darwin-arm64': { asset: 'darwin-arm64', sha256: '1027e634ef15c3be7befed6f6645c317cefea54a51d1ff3d312e220bac55ca21' },
};

/** @returns {Promise<{ path: string, version: string }>} */
export async function ensureNatsServer() {
  const link = join(binFolder, 'nats-server');
  const cached = versionOf(link);
  if (cached !== undefined && isAtLeast(cached, natsServerVersionMin)) return { path: link, version: cached };
  /** @type {string[]} */
  const tried = [];
  for (const source of [fromPath, fromRelease, fromDebian]) {
    const found = await source(tried);
    if (found !== undefined) return found;
  }
  throw new SetupError(`nats-server ${natsServerVersionMin} or newer was not found and could not be fetched.`, {
    tried,
    byHand:
      'install nats-server (https://github.com/nats-io/nats-server/releases, or "brew install nats-server") so that it is on PATH',
  });
}

/** @param {string[]} tried */
function fromPath(tried) {
  const program = findOnPath('nats-server');
  if (program === undefined) {
    tried.push('PATH: it has no nats-server');
    return undefined;
  }
  return accept(program, 'PATH', tried);
}

/** @param {string[]} tried */
async function fromRelease(tried) {
  const platform = `${process.platform}-${process.arch}`;
  const release = releases[platform];
  if (release === undefined) {
    tried.push(`official release ${releaseVersion}: no checksum is known for ${platform}`);
    return undefined;
  }
  const stem = `nats-server-v${releaseVersion}-${release.asset}`;
  const url = `https://github.com/nats-io/nats-server/releases/download/v${releaseVersion}/${stem}.tar.gz`;
  say(`fetching nats-server ${releaseVersion} (official release)`);
  return inTemporaryFolder(async (folder) => {
    const archive = join(folder, 'release.tar.gz');
    const failure =
      (await download(url, archive)) ?? checksumFailure(archive, release.sha256) ?? unpack(archive, folder);
    if (failure !== undefined) {
      say(`the official release could not be fetched: ${failure}`);
      tried.push(`${url}: ${failure}`);
      return undefined;
    }
    const target = join(cacheFolder, 'nats-server', stem);
    moveIntoPlace(join(folder, 'unpacked'), target);
    return accept(join(target, 'nats-server'), url, tried);
  });
}

/** @param {string[]} tried */
async function fromDebian(tried) {
  if (!hasApt()) {
    tried.push("Debian's package: apt-get is missing");
    return undefined;
  }
  say("fetching nats-server (Debian's package from sid, unpacked into the cache folder)");
  const target = join(cacheFolder, 'deb', 'nats-server');
  const failure = await unpackPackages({ packages: ['nats-server'], from: 'sid', target });
  if (failure !== undefined) {
    tried.push(`Debian's package: ${failure}`);
    return undefined;
  }
  const program = ['usr/sbin', 'usr/bin']
    .map((folder) => join(target, folder, 'nats-server'))
    .find((file) => versionOf(file) !== undefined);
  return accept(program ?? join(target, 'usr/sbin/nats-server'), "Debian's package", tried);
}

/**
 * @param {string} program
 * @param {string} source
 * @param {string[]} tried
 */
function accept(program, source, tried) {
  const version = versionOf(program);
  if (version === undefined || !isAtLeast(version, natsServerVersionMin)) {
    const found =
      version === undefined ? `does not run (${lastLines(run(program, ['--version']).output)})` : `is ${version}`;
    tried.push(`${source}: ${program} ${found}`);
    return undefined;
  }
  return { path: linkProgram('nats-server', program), version };
}

/**
 * Downloads a file. Uses curl if it is installed, since Node's fetch ignores the environment variables for proxies.
 * @param {string} url
 * @param {string} file
 * @returns {Promise<string | undefined>} undefined on success, otherwise the reason for the failure
 */
async function download(url, file) {
  if (findOnPath('curl') !== undefined) {
    const limits = ['--connect-timeout', String(connectTimeoutSeconds), '--max-time', String(downloadTimeoutMs / 1000)];
    const result = run('curl', ['-fsSL', '--proto', '=https', ...limits, '-o', file, url], {
      timeoutMs: downloadTimeoutMs,
    });
    return result.ok ? undefined : lastLines(result.output, 1);
  }
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(downloadTimeoutMs) });
    if (!response.ok) return `the server answered ${response.status}`;
    writeFileSync(file, Buffer.from(await response.arrayBuffer()));
    return undefined;
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return cause instanceof Error ? cause.message : String(cause);
  }
}

/**
 * @param {string} archive
 * @param {string} expected
 */
function checksumFailure(archive, expected) {
  const actual = createHash('sha256').update(readFileSync(archive)).digest('hex');
  return actual === expected ? undefined : `its SHA-256 is ${actual}, expected ${expected}; it is not used`;
}

/**
 * @param {string} archive
 * @param {string} folder
 */
function unpack(archive, folder) {
  mkdirSync(join(folder, 'unpacked'));
  const result = run('tar', ['-xzf', archive, '-C', join(folder, 'unpacked'), '--strip-components=1']);
  return result.ok ? undefined : `tar: ${lastLines(result.output, 6)}`;
}

/** @param {string} program */
function versionOf(program) {
  const result = run(program, ['--version']);
  return result.ok ? parseVersion(result.stdout) : undefined;
}
