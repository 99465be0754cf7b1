/** Copies this machine's programs, folders and shared libraries into a new root file system. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';

/** Folders that are searched for programs. PATH isn't searched, since its folders may contain wrapper scripts. */
export const systemSearchPath = ['/usr/bin', '/bin', '/usr/sbin', '/sbin'];

const elfMagic = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);
const lddTimeoutMs = 60_000;

/**
 * Libraries that old prebuilt programs load by name. Current C libraries contain most of them in one file, but the old
 * names must exist.
 */
const runtimeLibraries = [
  'libpthread.so.0',
  'libdl.so.2',
  'librt.so.1',
  'libutil.so.1',
  'libm.so.6',
  'libstdc++.so.6',
  'libgcc_s.so.1',
];
const nameServiceLibraries = ['libnss_files.so.2', 'libnss_dns.so.2', 'libresolv.so.2'];

/**
 * Copies a program under this name. If the program is a symbolic link, copies the link's target.
 * @param {string} name
 * @param {string} root
 * @param {Libraries} libraries object to which the program is added, so that the program's libraries are copied too
 * @returns {boolean} false if this machine doesn't have the program
 */
export function copyProgram(name, root, libraries) {
  const found = systemSearchPath.map((folder) => join(folder, name)).find((file) => fs.existsSync(file));
  if (found === undefined) return false;
  copyFile(found, join(root, 'usr', found.includes('/sbin/') ? 'sbin' : 'bin', name));
  libraries.addUsersOf([fs.realpathSync(found)]);
  return true;
}

/**
 * Copies a folder. Symbolic links in it are copied as links. Does nothing if the folder doesn't exist.
 * @param {string} from
 * @param {string} to
 * @param {Libraries} [libraries]
 */
export function copyFolder(from, to, libraries) {
  if (!fs.existsSync(from)) return;
  fs.mkdirSync(dirname(to), { recursive: true });
  fs.cpSync(from, to, { recursive: true, verbatimSymlinks: true, mode: fs.constants.COPYFILE_FICLONE });
  if (libraries === undefined) return;
  for (const entry of fs.readdirSync(from, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) libraries.addUsersOf([join(entry.parentPath, entry.name)]);
  }
}

/** The shared libraries that the copied programs load. */
export class Libraries {
  #root;
  /** @type {Set<string>} */
  #users = new Set();
  /** @type {Set<string>} */
  #extra = new Set();

  /** @param {string} root */
  constructor(root) {
    this.#root = root;
  }

  /** @param {readonly string[]} files paths of files. Files that are neither programs nor libraries are ignored. */
  addUsersOf(files) {
    for (const file of files) if (isElf(file)) this.#users.add(file);
  }

  addNameServiceAndRuntime() {
    for (const folder of this.folders()) {
      for (const name of [...nameServiceLibraries, ...runtimeLibraries]) {
        if (fs.existsSync(join(folder, name))) this.#extra.add(join(folder, name));
      }
    }
  }

  /** @returns {string[]} folders under /usr that contain the libraries of the added programs */
  folders() {
    const files = loadedBy([...this.#users]);
    return [...new Set(files.map((file) => dirname(underUsr(file))))];
  }

  copyAll() {
    this.addUsersOf([...this.#extra]);
    for (const file of new Set([...loadedBy([...this.#users]), ...this.#extra]))
      copyFile(file, join(this.#root, underUsr(file)));
  }
}

/**
 * @param {readonly string[]} programs
 * @returns {string[]} absolute paths of libraries and of the dynamic loader
 */
function loadedBy(programs) {
  if (programs.length === 0) return [];
  const result = spawnSync('ldd', programs, {
    encoding: 'utf8',
    timeout: lddTimeoutMs,
    maxBuffer: 64 * 1024 * 1024,
    env: { LC_ALL: 'C', PATH: systemSearchPath.join(':') },
  });
  if (result.error !== undefined)
    throw new Error(`ldd could not be run: ${result.error.message}`, { cause: result.error });
  const missing = /^\s*(\S+) => not found/m.exec(result.stdout)?.[1];
  if (missing !== undefined)
    throw new Error(`A program of this machine needs the library ${missing}, which is missing.`);
  return [...new Set([...result.stdout.matchAll(/^\s+(?:\S+ => )?(\/\S+) \(0x/gm)].map((match) => String(match[1])))];
}

/** @param {string} file */
function underUsr(file) {
  return /^\/(lib|lib64|bin|sbin)\//.test(file) ? `/usr${file}` : file;
}

/**
 * @param {string} from
 * @param {string} to
 */
function copyFile(from, to) {
  if (fs.existsSync(to)) return;
  fs.mkdirSync(dirname(to), { recursive: true });
  fs.copyFileSync(from, to, fs.constants.COPYFILE_FICLONE);
  // This removes setuid bits and makes the file readable for all users.
  fs.chmodSync(to, (fs.statSync(from).mode & 0o111) === 0 ? 0o644 : 0o755);
}

/** @param {string} file */
function isElf(file) {
  const magic = Buffer.alloc(elfMagic.length);
  const descriptor = fs.openSync(file, 'r');
  try {
    fs.readSync(descriptor, magic, 0, magic.length, 0);
  } finally {
    fs.closeSync(descriptor);
  }
  return magic.equals(elfMagic);
}
