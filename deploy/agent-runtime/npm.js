/** Adds npm to the image. Copies this machine's own npm if it is complete, otherwise fetches npm from the registry. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';

const timeoutMs = 3 * 60_000;

/**
 * The npm that is fetched if the machine's npm is incomplete. Debian and Ubuntu split npm into many packages, so their
 * npm is incomplete.
 */
const pinned = {
  version: '11.21.2',
  integrity: 'sha512-7HPApk+AflMUavSseL1Pm6CnYqMIHk53x+KmuhqmTDqPkjPMgxIpTPcTqsE91EKNw4gFBJV9fnXiSdGm1DXq9A==',
};

/**
 * Puts npm's package into a folder.
 * @param {string} target
 * @returns {string | undefined} undefined on success, otherwise the reason for the failure
 */
export function addNpm(target) {
  const found = findWhole();
  fs.mkdirSync(dirname(target), { recursive: true });
  if (found === undefined) return fetchNpm(target);
  fs.cpSync(found, target, { recursive: true, verbatimSymlinks: true, mode: fs.constants.COPYFILE_FICLONE });
  // The copy may contain this machine's registry settings.
  fs.rmSync(join(target, 'npmrc'), { force: true });
  return undefined;
}

/**
 * @returns {string | undefined} folder of an npm on this machine that contains all of npm's dependencies. Undefined if
 * there is none.
 */
function findWhole() {
  const onPath = (process.env['PATH'] ?? '').split(':').map((folder) => join(folder, 'npm'));
  for (const script of [process.env['npm_execpath'], ...onPath]) {
    if (script === undefined || !fs.existsSync(script)) continue;
    const folder = dirname(dirname(fs.realpathSync(script)));
    const whole = ['bin/npm-cli.js', 'node_modules/semver/package.json', 'node_modules/pacote/package.json'];
    if (whole.every((name) => fs.existsSync(join(folder, name)))) return folder;
  }
  return undefined;
}

/**
 * @param {string} target
 * @returns {string | undefined} undefined on success, otherwise the reason for the failure
 */
function fetchNpm(target) {
  const work = `${target}.fetching`;
  fs.mkdirSync(work, { recursive: true });
  try {
    const args = ['pack', `npm@${pinned.version}`, '--pack-destination', work, '--loglevel=error'];
    const packed = spawnSync('npm', args, { cwd: work, encoding: 'utf8', timeout: timeoutMs });
    if (packed.status !== 0) {
      return `npm ${pinned.version} could not be fetched: ${packed.error?.message ?? packed.stderr.trim()}`;
    }
    const archive = join(work, `npm-${pinned.version}.tgz`);
    const integrity = `sha512-${createHash('sha512').update(fs.readFileSync(archive)).digest('base64')}`;
    if (integrity !== pinned.integrity) return `the registry's npm ${pinned.version} does not have the pinned digest`;
    fs.mkdirSync(target);
    const unpacked = spawnSync('tar', ['-xzf', archive, '-C', target, '--strip-components=1'], { encoding: 'utf8' });
    return unpacked.status === 0 ? undefined : `npm could not be unpacked: ${unpacked.stderr.trim()}`;
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}
