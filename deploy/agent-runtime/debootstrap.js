/** Builds the root file system from Debian's packages with debootstrap. Used only with `--debootstrap`. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';

const suite = 'bookworm';
const packages = [
  'git',
  'ca-certificates',
  'curl',
  'jq',
  'less',
  'make',
  'patch',
  'perl-base',
  'procps',
  'unzip',
  'xz-utils',
  'zip',
];
const timeoutMs = 10 * 60_000;

/**
 * Installs a minimal Debian into a folder.
 * @param {string} root an empty folder
 * @param {(line: string) => void} log
 * @throws {Error} if the user isn't root, or if debootstrap is missing or fails. The message has the last lines of its
 * output.
 */
export function bootstrapDebian(root, log) {
  if (process.getuid?.() !== 0) throw new Error('debootstrap needs root.');
  log(`unpacking Debian ${suite} by debootstrap (half a minute)`);
  const mirror = process.env['COPPICE_DEBIAN_MIRROR'];
  const args = [
    '--variant=minbase',
    `--include=${packages.join(',')}`,
    suite,
    root,
    ...(mirror === undefined ? [] : [mirror]),
  ];
  const result = spawnSync('debootstrap', args, { encoding: 'utf8', timeout: timeoutMs });
  if (result.error !== undefined)
    throw new Error(`debootstrap could not be run: ${result.error.message}`, { cause: result.error });
  if (result.status !== 0)
    throw new Error(`debootstrap failed: ${result.stdout.trim().split('\n').slice(-2).join(' ')}`);
  // Removes package archives and package lists. A sandbox needs neither, and the lists contain the address of this
  // machine's mirror.
  for (const folder of ['var/cache/apt', 'var/lib/apt/lists', 'etc/apt/sources.list'])
    fs.rmSync(`${root}/${folder}`, { recursive: true, force: true });
}
