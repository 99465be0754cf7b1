/** Contents of the agents' root file system, except libraries, git's own files, Node and npm. */

/** Programs that every agent needs. The build fails if the machine lacks one of them. */
export const requiredPrograms = words(`
  sh bash env cat chmod cp cut date dirname basename echo expr false head id ln ls mkdir mktemp mv printf pwd readlink
  realpath rm rmdir sleep sort stat tail tee test touch tr true uname uniq wc git grep sed awk find xargs tar gzip diff`);

/** Programs that are copied if the machine has them. */
export const optionalPrograms = words(`
  [ arch b2sum base32 base64 basenc chgrp chown cksum comm csplit dd df du expand factor fmt fold groups hostid install join
  link logname md5sum mkfifo mknod nice nl nohup nproc numfmt od paste pathchk pr printenv ptx sha1sum sha224sum sha256sum
  sha384sum sha512sum seq shred shuf split stdbuf stty sum sync tac timeout truncate tsort tty unexpand unlink users vdir who
  whoami yes dash egrep fgrep mawk gawk gunzip zcat bzip2 bunzip2 xz unxz lzma zstd unzip zip cmp diff3 sdiff patch make ps
  kill pgrep pkill top free uptime less more which hostname getent getopt flock setsid rev column hexdump curl wget jq rg ed
  tput clear ldd ldconfig iconv bc dc tree openssl git-upload-pack git-receive-pack git-upload-archive
  run-parts sqlite3 fallocate getconf pidof prlimit taskset watch time zgrep xzcat bzcat hd xxd`);

/** User id of agents. The Dockerfile must use the same id. */
const agentId = 10001;

/**
 * @type {readonly { path: string, mode: number }[]} Folders that are created in the root file system. They include the
 * mount points, since a sandbox's root is read-only.
 */
export const baseFolders = [
  ...words(
    'etc proc sys dev run mnt opt srv var/cache var/lib var/log usr/local/bin usr/local/lib etc/ssl/certs workspace',
  ).map((path) => ({ path, mode: 0o755 })),
  { path: 'home', mode: 0o755 },
  { path: 'home/agent', mode: 0o755 },
  { path: 'root', mode: 0o700 },
  { path: 'tmp', mode: 0o1777 },
  { path: 'var/tmp', mode: 0o1777 },
];

/** @type {Readonly<Record<string, string>>} */
export const baseFiles = {
  'etc/passwd': [
    'root:x:0:0:root:/root:/bin/bash',
    `agent:x:${agentId}:${agentId}:agent:/home/agent:/bin/bash`,
    'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin',
    '',
  ].join('\n'),
  'etc/group': `root:x:0:\nagent:x:${agentId}:\nnogroup:x:65534:\n`,
  'etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
  'etc/hosts': '127.0.0.1 localhost\n::1 localhost\n',
  'etc/hostname': 'coppice\n',
  'etc/resolv.conf': '',
};

/** @type {Readonly<Record<string, string>>} */
export const baseLinks = {
  'usr/lib/ssl/certs': '/etc/ssl/certs',
  'usr/lib/ssl/cert.pem': '/etc/ssl/certs/ca-certificates.crt',
  'var/run': '/run',
};

/** @param {string} text */
function words(text) {
  return text.trim().split(/\s+/);
}
