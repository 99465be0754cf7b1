/** Set-up step that installs the npm packages of the lockfile. */
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
  // `--include=dev`: tests and checks need the development dependencies, which NODE_ENV or npm's `omit` might exclude.
  // `--ignore-scripts`: no package needs its install script. nx's script would create a folder ~/.nx, and the other
  // scripts only compile optional parts.
  const args = [...npm.args, 'ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const result = run(npm.program, args, { cwd: projectFolder, timeoutMs: installTimeoutMs });
  if (!result.ok) {
    throw new SetupError('The npm packages could not be installed.', {
      tried: [`npm ci: ${lastLines(result.output, 6)}`],
      byHand:
        'run "npm ci" in the project folder and read its errors; it needs the npm registry, or a mirror that is set by "npm config set registry"',
    });
  }
}

/**
 * Compares the installed packages with the lockfile and returns the first difference. npm writes the list of installed
 * packages into node_modules. The list doesn't contain packages for other platforms. If a checkout was copied without
 * the node_modules folders of its workspaces, the list names packages that are missing. So each package's folder is
 * checked too.
 * @param {Lockfile | undefined} wanted package-lock.json
 * @param {Lockfile | undefined} installed node_modules/.package-lock.json
 * @param {(path: string) => boolean} isThere returns true if a package's folder exists
 * @returns {string | undefined} undefined if the packages are up to date
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
