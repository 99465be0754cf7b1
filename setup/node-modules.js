/** Step: the packages that the lockfile names, installed. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { lastLines, say, SetupError } from './report.js';
import { npmCommand, run } from './run.js';

const installTimeoutMs = 15 * 60_000;

/**
 * @typedef {object} LockedPackage
 * @property {string} [version]
 * @property {string} [resolved]
 * @property {string} [integrity]
 * @property {boolean} [link]
 * @property {boolean} [optional]
 * @property {boolean} [devOptional]
 * @property {boolean} [peer]
 *
 * @typedef {{ packages?: Record<string, LockedPackage> }} Lockfile
 */

/**
 * @param {string} projectFolder
 * @returns {void}
 */
export function ensureNodeModules(projectFolder) {
  const reason = staleReason(
    readJson(join(projectFolder, 'package-lock.json')),
    readJson(join(projectFolder, 'node_modules', '.package-lock.json')),
    (path) => existsSync(join(projectFolder, path)),
  );
  if (reason === undefined) return;
  say(`installing npm packages, because ${reason} (npm ci; takes a minute)`);
  const npm = npmCommand();
  // The development dependencies are needed to test and check, whatever NODE_ENV or npm's `omit` say here.
  // No package needs its install scripts: nx's makes a folder ~/.nx, the others compile optional parts.
  const args = [...npm.args, 'ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const result = run(npm.program, args, { cwd: projectFolder, timeoutMs: installTimeoutMs });
  if (!result.ok) {
    throw new SetupError('The npm packages could not be installed.', {
      tried: [`npm ci: ${lastLines(result.output, 6)}`],
      byHand:
        'run "npm ci" in the project folder and see what it says; it needs the npm registry, or a mirror set by "npm config set registry"',
    });
  }
}

/**
 * Why the installed packages are not those of the lockfile. npm writes what it installed into a lockfile of the same form
 * inside node_modules, as the last thing of an install; packages for other platforms are left out of it. A checkout that was copied in part has
 * that file without all that it tells of: a workspace's own node_modules lie beside it.
 * @param {Lockfile | undefined} wanted package-lock.json
 * @param {Lockfile | undefined} installed node_modules/.package-lock.json
 * @param {(path: string) => boolean} isThere whether a package's folder is
 * @returns {string | undefined} undefined when nothing needs to be done
 */
export function staleReason(wanted, installed, isThere) {
  if (wanted?.packages === undefined) return undefined;
  if (installed?.packages === undefined) return 'node_modules is missing or incomplete';
  for (const [path, entry] of Object.entries(wanted.packages)) {
    if (path === '') continue;
    const have = installed.packages[path];
    if (have === undefined) {
      if (entry.optional === true || entry.devOptional === true || entry.peer === true) continue;
      return `${packageName(path)} is not installed`;
    }
    if (have.version !== entry.version)
      return `${packageName(path)} is ${have.version}, the lockfile says ${entry.version}`;
    if (have.integrity !== entry.integrity) return `${packageName(path)} differs from the lockfile`;
    if (have.link !== entry.link) return `${packageName(path)} differs from the lockfile`;
    if (!isThere(path)) return `${path} is missing`;
  }
  for (const path of Object.keys(installed.packages)) {
    if (wanted.packages[path] === undefined) return `${packageName(path)} is installed but not in the lockfile`;
  }
  return undefined;
}

/** @param {string} path */
function packageName(path) {
  return path.slice(path.lastIndexOf('node_modules/') + (path.includes('node_modules/') ? 'node_modules/'.length : 1));
}

/**
 * @param {string} file
 * @returns {Lockfile | undefined}
 */
function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
