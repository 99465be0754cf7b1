/** What comes before and after bubblewrap on the command line: limits, and the way from root to the sandbox's user. */
import type { ControlGroup } from './cgroup.ts';
import type { Limits, Mount } from './port.ts';

/** Covered by a mount that only the command's own mount namespace has. */
export const stage = '/run/coppice-stage';

/** Programs like Node ask for much more than they use: less than this and they don't start. */
const dataBytesMin = 1024 * 1024 * 1024;
const dataPerMemory = 2;

/**
 * Run by root in a mount namespace of its own. Arguments: number of control group files, the files, uid, gid, a table of mounts as fstab(5) has it,
 * number of mounts, their sources, then bubblewrap's own arguments. One process makes all mount points, and one mounts them all: a process for
 * each of the ten or so would be most of what the start of a sandbox takes.
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
  /** Of n mounts the first is found at `<stage>/n`, the last at `<stage>/1`. */
  mounts: readonly Mount[];
  user: { uid: number; gid: number };
  group: ControlGroup | undefined;
}

/** To be followed by bubblewrap's arguments. */
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

/** A line of the table; what would end a field or begin a comment is written in octal. That is of bytes: what isn't ASCII stays as it is. */
const bind = (source: string, name: string): string =>
  `${source.replaceAll(/[ \t\n\v\f\r\\#]/g, octal)} ${stage}/${name} none bind 0 0`;

const octal = (character: string): string => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`;

export function resourceLimits(group: ControlGroup | undefined, { diskBytes, memoryBytes }: Limits): string[] {
  const limits = [`--fsize=${diskBytes}:${diskBytes}`, '--core=0:0'];
  // Without a control group: of one process, not of all, and of what it asked for rather than uses. Better than nothing.
  const dataBytes = Math.max(memoryBytes * dataPerMemory, dataBytesMin);
  if (group === undefined) limits.push(`--data=${dataBytes}:${dataBytes}`);
  return ['prlimit', ...limits, '--'];
}

/**
 * The first process of the namespace: a shell that reaps and passes on the exit code. Bubblewrap's own would be left
 * behind at the end as an orphan, a zombie for ever where this host's first process doesn't reap.
 *
 * Processes are counted per user namespace (Linux 5.14), so a limit set inside counts this command's alone. dash calls
 * the option -p, other shells -u.
 */
export function firstProcess(group: ControlGroup | undefined, { pids }: Limits): string[] {
  const limit = group === undefined ? `ulimit -u ${pids} 2>/dev/null || ulimit -p ${pids} 2>/dev/null; ` : '';
  return ['/bin/sh', '-c', `${limit}"$@"; exit $?`, 'sh'];
}
