import { lstat, realpath } from 'node:fs/promises';
import { posix } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import type { SandboxRecord } from './launcher.ts';
import { environmentBytesMax, limitsDefault, limitsRange, mountsMax } from './limits.ts';
import type { Limits, Mount, SandboxSpec } from './port.ts';
import { codeOf } from './reason.ts';

export const workspaceTarget = '/workspace';
export const homeTarget = '/home/agent';

const idPattern = /^[a-z0-9][a-z0-9_-]{0,250}$/;
const imagePattern = /^[a-z0-9][a-z0-9._/:@-]{0,250}$/i;
const environmentNamePattern = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Forbidden mount targets. A mount over one of them could replace files that the isolation depends on. */
const forbiddenTargets = [
  '/proc',
  '/sys',
  '/dev',
  '/etc',
  '/usr',
  '/bin',
  '/sbin',
  '/lib',
  '/lib32',
  '/lib64',
  '/run',
  '/tmp',
];
const forbiddenRoots = ['/var/run', '/boot', '/root'];

export function refuse(message: string): never {
  throw new CoppiceError('sandbox-refused', message);
}

export function checkSandboxId(id: string): void {
  if (!idPattern.test(id)) refuse(`sandbox id ${JSON.stringify(id)}: expected lower-case letters, digits, _ and -`);
}

function within(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === '/' ? '/' : folder + '/');
}

export interface MountRules {
  /** Real path of the stack's data folder, which contains all sources. */
  dataFolder: string;
  /** Real path of the engine's own folder. No source may contain it or be inside it. */
  stateFolder: string;
}

/**
 * Checks a mount source on the file system. Called at create and again before every command, since a sandbox can
 * replace files and folders inside its writable mounts.
 */
export async function checkMountSource(source: string, field: string, rules: MountRules): Promise<void> {
  let real: string;
  try {
    real = await realpath(source);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') refuse(`${field} ${source} doesn't exist`);
    refuse(`${field} ${source} can't be resolved (${codeOf(error) ?? 'unknown error'})`);
  }
  if (real !== source)
    refuse(`${field} ${source} leads through a symbolic link or isn't normal; its real path is ${real}`);
  const inData = real !== rules.dataFolder && within(real, rules.dataFolder);
  if (!inData) refuse(`${field} ${source} is outside of the stack's data folder ${rules.dataFolder}`);
  if (within(real, rules.stateFolder) || within(rules.stateFolder, real)) {
    refuse(`${field} ${source} would show the sandbox engine's own folder ${rules.stateFolder}`);
  }
  const status = await lstat(real);
  if (!status.isDirectory() && !status.isFile()) refuse(`${field} ${source} is neither a folder nor a plain file`);
}

function checkMountTarget(target: string, field: string): void {
  const normal = posix.isAbsolute(target) && posix.normalize(target) === target && !target.endsWith('/');
  if (!normal || /[\0\n:,]/.test(target)) refuse(`${field} ${JSON.stringify(target)}: expected a normal absolute path`);
  for (const folder of [...forbiddenTargets, ...forbiddenRoots]) {
    if (within(target, folder)) refuse(`${field} ${target} would cover a part of the system (${folder})`);
  }
  if (within(homeTarget, target)) refuse(`${field} ${target} would cover the home folder`);
}

function checkEnvironment(env: Record<string, string>): void {
  let bytes = 0;
  for (const [name, value] of Object.entries(env)) {
    if (!environmentNamePattern.test(name)) refuse(`environment ${JSON.stringify(name)} isn't a variable's name`);
    if (value.includes('\0')) refuse(`environment ${name} holds a NUL`);
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value) + 2;
  }
  if (bytes > environmentBytesMax) refuse(`environment has ${bytes} bytes, at most ${environmentBytesMax} are allowed`);
}

function checkLimits(limits: Limits): void {
  for (const name of Object.keys(limitsRange) as (keyof Limits)[]) {
    const { min, max } = limitsRange[name];
    const value = limits[name];
    if (!(value >= min && value <= max)) refuse(`limits.${name} is ${value}, expected ${min} to ${max}`);
    if (name !== 'cpus' && !Number.isInteger(value)) refuse(`limits.${name} is ${value}, expected a whole number`);
  }
}

/**
 * Validates a specification and fills in defaults. The record doesn't include the home folder, which the store adds.
 */
export async function recordOf(
  spec: SandboxSpec,
  defaults: { user: { uid: number; gid: number } },
  rules: MountRules,
): Promise<SandboxRecord> {
  checkSandboxId(spec.id);
  if (!imagePattern.test(spec.image)) refuse(`image ${JSON.stringify(spec.image)} isn't an image's name`);
  const mounts: Mount[] = [{ ...spec.workspace, target: workspaceTarget }, ...(spec.mounts ?? [])];
  if (mounts.length > mountsMax) refuse(`mounts: ${mounts.length}, at most ${mountsMax} are allowed`);
  const targets = new Set<string>();
  for (const [index, mount] of mounts.entries()) {
    const field = index === 0 ? 'workspace' : `mounts[${index - 1}]`;
    if (index > 0 && mount.target === workspaceTarget) refuse(`${field}.target: ${workspaceTarget} is the workspace`);
    checkMountTarget(mount.target, `${field}.target`);
    if (targets.has(mount.target)) refuse(`${field}.target ${mount.target} is mounted twice`);
    targets.add(mount.target);
    await checkMountSource(mount.source, `${field}.source`, rules);
  }
  const user = spec.user ?? defaults.user;
  for (const [name, value] of Object.entries(user)) {
    if (!Number.isInteger(value) || value < 1 || value > 0x7fff_ffff)
      refuse(`user.${name} is ${value}: expected not root`);
  }
  const env = spec.env ?? {};
  checkEnvironment(env);
  const limits = { ...limitsDefault, ...spec.limits };
  checkLimits(limits);
  const network = spec.network ?? 'none';
  if (network !== 'none' && network !== 'full') refuse(`network ${JSON.stringify(network)}: expected none or full`);
  // Outer mounts come before the mounts inside them.
  const ordered = mounts.toSorted((a, b) => a.target.split('/').length - b.target.split('/').length);
  return { id: spec.id, image: spec.image, labels: spec.labels, mounts: ordered, env, user, limits, network };
}

export function resolveInSandbox(path: string, field: string): string {
  if (path.includes('\0')) refuse(`${field} holds a NUL`);
  return posix.resolve(workspaceTarget, path);
}
