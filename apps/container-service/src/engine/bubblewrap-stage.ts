/**
 * Builds the command lines around bubblewrap: resource limits, the change from root to the sandbox's user, and the first process inside the
 * namespace.
 */
import type { ControlGroup } from './cgroup.ts';
import type { Limits, Mount } from './port.ts';

/**
 * Mount point of a tmpfs that exists only in the command's own mount namespace. The bubblewrap program, the root file
 * system and the mount sources are mounted there, where the sandbox's user can reach them.
 */
export const stage = '/run/coppice-stage';

/** Minimum data limit in bytes. Programs such as Node reserve much more memory than they use and don't start with a lower limit. */
const dataBytesMin = 1024 * 1024 * 1024;
const dataPerMemory = 2;

/**
 * Script that prepares the stage and starts bubblewrap. It runs as root in its own mount namespace. Arguments: number
 * of control group files, these files, uid, gid, a table of mounts in fstab(5) format, number of mounts, their sources,
 * bubblewrap's arguments. One process creates all mount points and another one mounts all sources. A process for each
 * mount would take most of a sandbox's start time.
 */
const stageScript = `
set -e
stage=${stage}
count=$1; shift
while [ "$count" -gt 0 ]; do echo $$ > "$1"; shift; count=$((count-1)); done
uid=$1; gid=$2; table=$3; count=$4; shift 4
mount -t tmpfs -o size=1m,mode=755,nosuid,nodev coppice "$stage"
: > "$stage/bwrap"
folders="$stage/rootfs"
while [ "$count" -gt 0 ]; do
  if [ -d "$1" ]; then folders="$folders $stage/$count"; else : > "$stage/$count"; fi
  shift; count=$((count-1))
done
mkdir $folders
printf '%s\\n' "$table" > "$stage/table"
mount --all --fstab "$stage/table"
exec setpriv --reuid "$uid" --regid "$gid" --clear-groups -- "$stage/bwrap" "$@"
`;

export interface Staging {
  program: string;
  rootfs: string;
  /** Mounts. The first of n mounts is at `<stage>/n`, the last one at `<stage>/1`. */
  mounts: readonly Mount[];
  user: { uid: number; gid: number };
  group: ControlGroup | undefined;
}

/** Returns the command line of the stage script. Bubblewrap's arguments must follow. */
export function staged({ program, rootfs, mounts, user, group }: Staging): string[] {
  const files = group?.processFiles ?? [];
  const binds = [
    bind(program, 'bwrap'),
    bind(rootfs, 'rootfs'),
    ...mounts.map(({ source }, index) => bind(source, String(mounts.length - index))),
  ];
  return [
    ['unshare', '--mount', '--propagation', 'private', '--', '/bin/sh', '-c', stageScript, 'sh'],
    [String(files.length), ...files],
    [String(user.uid), String(user.gid), binds.join('\n')],
    [String(mounts.length), ...mounts.map((mount) => mount.source)],
  ].flat();
}

/**
 * Returns a line of the fstab(5) table. ASCII characters that would end a field or start a comment are escaped in
 * octal.
 */
const bind = (source: string, name: string): string =>
  `${source.replaceAll(/[ \t\n\v\f\r\\#]/g, octal)} ${stage}/${name} none bind 0 0`;

const octal = (character: string): string => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`;

export function resourceLimits(group: ControlGroup | undefined, { diskBytes, memoryBytes }: Limits): string[] {
  const limits = [`--fsize=${diskBytes}:${diskBytes}`, '--core=0:0'];
  // Without a control group, only the reserved memory of each single process is limited.
  const dataBytes = Math.max(memoryBytes * dataPerMemory, dataBytesMin);
  if (group === undefined) limits.push(`--data=${dataBytes}:${dataBytes}`);
  return ['prlimit', ...limits, '--'];
}

/**
 * Returns the command line of the PID namespace's first process. It is a shell that reaps its children and passes on
 * the exit code. Bubblewrap's own first process would end as an orphan. It would stay a zombie if the host's first
 * process doesn't reap it.
 *
 * Since version 5.14, Linux counts processes per user namespace. So a limit that is set inside the sandbox counts only
 * this command's processes. The option of `ulimit` is -p in dash and -u in other shells.
 */
export function firstProcess(group: ControlGroup | undefined, { pids }: Limits): string[] {
  const limit = group === undefined ? `ulimit -u ${pids} 2>/dev/null || ulimit -p ${pids} 2>/dev/null; ` : '';
  return ['/bin/sh', '-c', `${limit}"$@"; exit $?`, 'sh'];
}
