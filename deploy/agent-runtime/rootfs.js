/**
 * Builds the root file system of `coppice/agent-runtime` without an image registry. Works only on Linux. Docker imports
 * the root file system as an image. Bubblewrap uses it directly, as the read-only root of a sandbox.
 *
 *   node deploy/agent-runtime/rootfs.js TARGET_FOLDER [--debootstrap]
 *
 * By default, this machine's own programs and the libraries that they load are copied. This takes seconds, and needs no
 * network unless npm has to be fetched (npm.js). With `--debootstrap` (root only), Debian's packages are used. The
 * result is built in a folder beside the target. This folder is then renamed, so the target is always complete.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { bootstrapDebian } from './debootstrap.js';
import { copyFolder, copyProgram, Libraries, systemSearchPath } from './host-files.js';
import { baseFiles, baseFolders, baseLinks, optionalPrograms, requiredPrograms } from './manifest.js';
import { addNpm } from './npm.js';

const nodeMajorMin = 24;
const leftoverAgeMsMax = 60 * 60_000;
const thisFolder = dirname(fileURLToPath(import.meta.url));
const projectFolder = dirname(dirname(thisFolder));

/**
 * @typedef {object} BuildOptions
 * @property {(line: string) => void} [log] called with each line of progress
 * @property {'host' | 'debootstrap'} [method] default: host
 */

/**
 * Builds the root file system, unless the target was already built with the current key. The build runs in a separate
 * process, so that thousands of small copies don't block the caller's event loop.
 *
 * A target with another key is replaced, and running sandboxes that use it lose their programs. If sandboxes may be
 * running, choose a folder name that contains `rootfsKey()`.
 * @param {string} targetFolder
 * @param {BuildOptions} [options]
 * @returns {Promise<{ folder: string, key: string, built: boolean }>} `built`: false if the target already had the
 * current key
 * @throws {Error} The message names the programs that this machine lacks, or the file that could not be written.
 */
export async function buildRootfs(targetFolder, { log = () => {}, method = 'host' } = {}) {
  const folder = resolve(targetFolder);
  const key = rootfsKey({ method });
  if (readKey(folder) === key) return { folder, key, built: false };
  const args = [fileURLToPath(import.meta.url), folder, ...(method === 'debootstrap' ? ['--debootstrap'] : [])];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = new Promise((resolveExit, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolveExit(signal ?? code));
  });
  let answer = '';
  child.stdout.setEncoding('utf8').on('data', (/** @type {string} */ text) => (answer += text));
  let lastLine = '';
  for await (const line of createInterface({ input: child.stderr })) {
    lastLine = line;
    log(line);
  }
  const status = await exited;
  if (status !== 0) throw new Error(lastLine || `the build ended with ${status}`);
  return { folder, key, built: !answer.includes('(was there)') };
}

/**
 * @param {string} target
 * @param {'host' | 'debootstrap'} method
 * @param {(line: string) => void} log
 * @returns {{ key: string, built: boolean }}
 */
function makeRootfs(target, method, log) {
  if (process.platform !== 'linux') {
    throw new Error(`A root file system can be made only on Linux, but this is ${process.platform}.`);
  }
  const key = rootfsKey({ method });
  if (readKey(target) === key) return { key, built: false };
  fs.mkdirSync(dirname(target), { recursive: true });
  removeLeftovers(target);
  const work = fs.mkdtempSync(`${target}.making-`);
  try {
    fs.chmodSync(work, 0o755);
    if (method === 'debootstrap') bootstrapDebian(work, log);
    else copyHostPrograms(work, log);
    addNode(work, log);
    addBase(work);
    fs.writeFileSync(join(work, 'etc/coppice-agent-runtime'), `${key}\n`);
    return { key, built: moveIntoPlace(work, target, key) };
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

/**
 * Returns a hash that identifies the result of a build. The hash changes if these scripts, the method, or this machine's distribution, git or Node change.
 * @param {{ method?: 'host' | 'debootstrap' }} [options]
 * @returns {string} 12 hexadecimal digits, usable in a folder name or an image tag
 */
export function rootfsKey({ method = 'host' } = {}) {
  const hash = createHash('sha256').update(method);
  for (const name of ['rootfs.js', 'host-files.js', 'manifest.js', 'npm.js', 'debootstrap.js'])
    hash.update(fs.readFileSync(join(thisFolder, name)));
  hash.update(findNode().version);
  hash.update(output('git', ['--version']));
  hash.update(fs.existsSync('/etc/os-release') ? fs.readFileSync('/etc/os-release') : '');
  return hash.digest('hex').slice(0, 12);
}

/**
 * Removes old folders of interrupted builds beside the target. New folders are kept, since they may belong to a running build.
 * @param {string} target
 */
function removeLeftovers(target) {
  for (const name of fs.readdirSync(dirname(target))) {
    const folder = join(dirname(target), name);
    if (!/\.(making|old)-[^.]+$/.test(name) || !folder.startsWith(`${target}.`)) continue;
    if (Date.now() - fs.statSync(folder).mtimeMs > leftoverAgeMsMax)
      fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {string} folder */
function readKey(folder) {
  try {
    return fs.readFileSync(join(folder, 'etc/coppice-agent-runtime'), 'utf8').trim();
  } catch {
    return undefined;
  }
}

/**
 * @param {string} root
 * @param {(line: string) => void} log
 */
function copyHostPrograms(root, log) {
  log("copying this machine's programs and their libraries");
  for (const [link, to] of [
    ['bin', 'usr/bin'],
    ['sbin', 'usr/sbin'],
    ['lib', 'usr/lib'],
    ['lib64', 'usr/lib64'],
  ]) {
    fs.mkdirSync(join(root, String(to)), { recursive: true });
    fs.symlinkSync(String(to), join(root, String(link)));
  }
  const libraries = new Libraries(root);
  const missing = requiredPrograms.filter((name) => !copyProgram(name, root, libraries));
  if (missing.length > 0)
    throw new Error(
      `This machine lacks ${missing.join(', ')} (looked in ${systemSearchPath.join(':')}); install them, for example by apt-get.`,
    );
  for (const name of optionalPrograms) copyProgram(name, root, libraries);
  const gitFolder = output('git', ['--exec-path']).trim();
  copyFolder(gitFolder, join(root, gitFolder), libraries);
  copyFolder('/usr/share/git-core', join(root, 'usr/share/git-core'));
  copyFolder('/usr/lib/locale/C.utf8', join(root, 'usr/lib/locale/C.utf8'));
  for (const name of ['x', 'd', 'l', 's', 'v'])
    copyFolder(`/usr/lib/terminfo/${name}`, join(root, 'usr/lib/terminfo', name));
  copyPerl(root, libraries);
  libraries.addNameServiceAndRuntime();
  libraries.copyAll();
}

/**
 * Copies Debian's minimal perl, if this machine has it. Some git commands need perl.
 * @param {string} root
 * @param {Libraries} libraries
 */
function copyPerl(root, libraries) {
  for (const folder of libraries.folders()) {
    if (fs.existsSync(join(folder, 'perl-base'))) {
      copyFolder(join(folder, 'perl-base'), join(root, folder, 'perl-base'), libraries);
      copyProgram('perl', root, libraries);
    }
  }
}

/**
 * @param {string} root
 * @param {(line: string) => void} log
 */
function addNode(root, log) {
  const node = findNode();
  log(`adding Node ${node.version} and npm`);
  fs.mkdirSync(join(root, 'usr/bin'), { recursive: true });
  fs.copyFileSync(node.path, join(root, 'usr/bin/node'), fs.constants.COPYFILE_FICLONE);
  fs.chmodSync(join(root, 'usr/bin/node'), 0o755);
  const libraries = new Libraries(root);
  libraries.addUsersOf([node.path]);
  libraries.copyAll();
  const failure = addNpm(join(root, 'usr/lib/node_modules/npm'));
  if (failure !== undefined) {
    log(`npm is left out: ${failure}`);
    return;
  }
  for (const name of ['npm', 'npx'])
    fs.symlinkSync(`../lib/node_modules/npm/bin/${name}-cli.js`, join(root, 'usr/bin', name));
}

/** @param {string} root */
function addBase(root) {
  for (const { path, mode } of baseFolders) {
    fs.mkdirSync(join(root, path), { recursive: true });
    fs.chmodSync(join(root, path), mode);
  }
  for (const [path, text] of Object.entries(baseFiles)) fs.writeFileSync(join(root, path), text);
  for (const [path, to] of Object.entries(baseLinks)) {
    fs.mkdirSync(dirname(join(root, path)), { recursive: true });
    fs.rmSync(join(root, path), { recursive: true, force: true });
    fs.symlinkSync(to, join(root, path));
  }
  const bundle = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt'].find((file) =>
    fs.existsSync(file),
  );
  const target = join(root, 'etc/ssl/certs/ca-certificates.crt');
  fs.mkdirSync(dirname(target), { recursive: true });
  if (bundle !== undefined) fs.copyFileSync(bundle, target);
  const release = join(root, 'etc/os-release');
  if (!fs.existsSync(release) && fs.existsSync('/etc/os-release')) fs.copyFileSync('/etc/os-release', release);
  if (process.getuid?.() === 0) fs.chownSync(join(root, 'home/agent'), 10001, 10001);
}

/**
 * @param {string} work
 * @param {string} target
 * @param {string} key
 * @returns {boolean} false if another process finished the same build first
 */
function moveIntoPlace(work, target, key) {
  const old = `${target}.old-${process.pid}`;
  for (const attempt of [1, 2]) {
    try {
      fs.renameSync(work, target);
      return true;
    } catch (error) {
      if (readKey(target) === key) return false;
      if (attempt === 2 || !fs.existsSync(target)) throw error;
      fs.renameSync(target, old);
      fs.rmSync(old, { recursive: true, force: true });
    }
  }
  return false;
}

/** @returns {{ path: string, version: string }} */
function findNode() {
  const candidates = [join(projectFolder, '.cache/bin/node'), process.execPath];
  for (const path of candidates.filter((file) => fs.existsSync(file))) {
    const version = output(path, ['--version']).trim();
    if (Number(/^v(\d+)/.exec(version)?.[1]) >= nodeMajorMin) return { path: fs.realpathSync(path), version };
  }
  throw new Error(`Node ${nodeMajorMin} is needed for the image: run "node setup/setup.js" first.`);
}

/**
 * @param {string} program
 * @param {readonly string[]} args
 */
function output(program, args) {
  const result = spawnSync(program, args, { encoding: 'utf8', timeout: 30_000 });
  if (result.status !== 0)
    throw new Error(`${program} ${args.join(' ')} failed: ${result.error?.message ?? result.stderr}`);
  return result.stdout;
}

function main() {
  const [target] = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
  const say = (/** @type {string} */ line) => process.stderr.write(`${line}\n`);
  if (target === undefined) {
    say('usage: node deploy/agent-runtime/rootfs.js TARGET_FOLDER [--debootstrap]');
    process.exitCode = 2;
    return;
  }
  const folder = resolve(target);
  try {
    const { key, built } = makeRootfs(folder, process.argv.includes('--debootstrap') ? 'debootstrap' : 'host', say);
    process.stdout.write(`${folder} ${key}${built ? '' : ' (was there)'}\n`);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}

const startedFile = process.argv[1];
if (startedFile !== undefined && fs.existsSync(startedFile)) {
  if (fs.realpathSync(startedFile) === fileURLToPath(import.meta.url)) main();
}
