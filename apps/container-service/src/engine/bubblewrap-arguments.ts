import type { Mount } from './port.ts';
import { homeTarget, workspaceTarget } from './specification.ts';

export interface RootEntry {
  name: string;
  /** Target of a symbolic link. Undefined for a folder or file. */
  link: string | undefined;
}

export interface BubblewrapView {
  /** Folder in which bubblewrap finds the image's entries. */
  rootfs: string;
  entries: readonly RootEntry[];
  mounts: readonly Mount[];
  user: { uid: number; gid: number };
  network: 'none' | 'full';
  scratchBytes: number;
  env: Readonly<Record<string, string>>;
  seccompDescriptor: number | undefined;
  statusDescriptor: number;
}

/** Root entries that aren't taken from the image. The kernel, bubblewrap or a mount provides them. */
const ownEntries: ReadonlySet<string> = new Set(['proc', 'sys', 'dev', 'tmp', 'home', 'workspace', 'lost+found']);

/**
 * Returns bubblewrap's arguments. Each top folder of the image is mounted into an empty root, since bubblewrap must
 * create other mount points in the root. The root becomes read-only after all mounts. A later mount covers an earlier
 * one.
 */
export function bubblewrapArguments(view: BubblewrapView): string[] {
  const { user, scratchBytes } = view;
  const image = view.entries
    .filter((entry) => !ownEntries.has(entry.name))
    .flatMap(({ name, link }) =>
      link === undefined ? ['--ro-bind', `${view.rootfs}/${name}`, `/${name}`] : ['--symlink', link, `/${name}`],
    );
  const scratch = (target: string) => ['--size', String(scratchBytes), '--perms', '1777', '--tmpfs', target];
  return [
    ['--unshare-user', '--unshare-ipc', '--unshare-pid', '--unshare-uts', '--unshare-cgroup-try', '--as-pid-1'],
    view.network === 'none' ? ['--unshare-net'] : [],
    ['--uid', String(user.uid), '--gid', String(user.gid), '--hostname', 'coppice'],
    ['--die-with-parent', '--new-session', '--cap-drop', 'ALL', '--clearenv'],
    image,
    ['--proc', '/proc', '--ro-bind', '/proc/sys', '/proc/sys'],
    // Devices stay usable after this remount, since each device is a separate mount.
    ['--dev', '/dev', ...scratch('/dev/shm'), '--remount-ro', '/dev'],
    scratch('/tmp'),
    view.mounts.flatMap(({ source, target, readOnly }) => [readOnly ? '--ro-bind' : '--bind', source, target]),
    ['--remount-ro', '/'],
    Object.entries(view.env).flatMap(([name, value]) => ['--setenv', name, value]),
    ['--chdir', view.mounts.some(({ target }) => target === workspaceTarget) ? workspaceTarget : homeTarget],
    view.seccompDescriptor === undefined ? [] : ['--seccomp', String(view.seccompDescriptor)],
    ['--json-status-fd', String(view.statusDescriptor)],
  ].flat();
}
