/**
 * The seccomp profile of containers, in the format of Docker and Podman. It allows the calls of Docker's documented
 * default profile, except the calls that system-calls.ts refuses. Other calls return EPERM. Only calls of the native
 * architecture are allowed, since 32-bit calls reach the same kernel functions but bypass the rules for arguments.
 */
import { join } from 'node:path';
import { replaceFile } from '@coppice/files';
import type { PathTranslation } from './docker-paths.ts';
import { absentCalls, argumentRules, refusedCalls, type ArgumentRule } from './system-calls.ts';

const eperm = 1;
const enosys = 38;
const lowWord = 0xffffffff;

/** Names of calls, as in libseccomp. libseccomp skips names that it doesn't know for the architecture. */
const allowedNames = `
  access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat
  fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd
  getdents getdents64 getxattr getxattrat lchown lgetxattr link linkat listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat
  mkdir mkdirat mknod mknodat newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink
  readlinkat readv removexattr removexattrat rename renameat renameat2 rmdir sendfile setxattr setxattrat splice stat statfs statx symlink
  symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat utimes vmsplice write writev

  eventfd eventfd2 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait fanotify_mark inotify_add_watch inotify_init
  inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit pipe pipe2 poll ppoll pselect6 select
  signalfd signalfd4

  brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mprotect mremap mseal msync
  munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages

  arch_prctl capget capset execve execveat exit exit_group fork futex futex_requeue futex_wait futex_waitv futex_wake get_robust_list
  get_thread_area getcpu getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getpriority getresgid getresuid getrlimit getrusage
  getsid gettid getuid ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self pause pidfd_open
  pidfd_send_signal prctl prlimit64 process_mrelease restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
  rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
  sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
  seccomp set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setpgid setpriority setregid setresgid
  setresuid setreuid setrlimit setsid setuid sigaltstack tgkill tkill uname vfork wait4 waitid

  alarm clock_getres clock_gettime clock_nanosleep getitimer getrandom gettimeofday nanosleep setitimer sysinfo time timer_create
  timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times

  accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg sendto setsockopt shutdown

  mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop shmat
  shmctl shmdt shmget
`;

interface Comparison {
  index: number;
  op: 'SCMP_CMP_MASKED_EQ';
  /** Mask. The masked argument must equal `valueTwo`. */
  value: number;
  valueTwo: number;
}

interface Rule {
  names: string[];
  action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO';
  errnoRet?: number;
  args?: Comparison[];
}

export interface DaemonInfo {
  SecurityOptions?: string[] | null;
}

/**
 * Returns the security option that applies the profile. Returns no option if the daemon can't filter system calls,
 * since it would reject containers with a profile. Docker accepts only the text of the profile, Podman only its path.
 */
export async function seccompOptions(
  { version, info }: { version: { Components?: { Name: string }[] }; info: DaemonInfo },
  stateFolder: string,
  translation: PathTranslation,
): Promise<string[]> {
  if (!(info.SecurityOptions ?? []).some((option) => option.split(',').includes('name=seccomp'))) return [];
  const profile = dockerSeccompProfile();
  if (!(version.Components ?? []).some(({ Name }) => Name.startsWith('Podman'))) return [`seccomp=${profile}`];
  const file = join(stateFolder, 'seccomp.json');
  await replaceFile(file, profile);
  return [`seccomp=${translation(file)}`];
}

export function dockerSeccompProfile(): string {
  const decided = new Set([refusedCalls, absentCalls, argumentRules].flatMap((table) => Object.keys(table)));
  const names = allowedNames.split(/\s+/).filter((name) => name !== '' && !decided.has(name));
  const syscalls: Rule[] = [
    { names, action: 'SCMP_ACT_ALLOW' },
    { names: Object.keys(absentCalls), action: 'SCMP_ACT_ERRNO', errnoRet: enosys },
    // A call is allowed if one of its rules matches.
    ...Object.entries(argumentRules).flatMap(([name, rule]) =>
      comparisonsOf(rule).map((comparison): Rule => ({
        names: [name],
        action: 'SCMP_ACT_ALLOW',
        args: [{ index: rule.argument, op: 'SCMP_CMP_MASKED_EQ', ...comparison }],
      })),
    ),
  ];
  return JSON.stringify({ defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: eperm, syscalls });
}

/**
 * Returns comparisons. A call is allowed if one of them is true. They ignore the argument's high word, as the kernel
 * does. Otherwise a call with a set high word would evade a rule.
 */
function comparisonsOf(rule: ArgumentRule): Pick<Comparison, 'value' | 'valueTwo'>[] {
  if ('refusedBits' in rule) return [{ value: rule.refusedBits, valueTwo: 0 }];
  if ('allowedValues' in rule) return rule.allowedValues.map((valueTwo) => ({ value: lowWord, valueTwo }));
  return prefixesWithout(rule.refusedValues);
}

/**
 * Returns bit prefixes that together match all words except the excluded ones. libseccomp has no comparison for
 * "neither of two".
 */
function prefixesWithout(excluded: readonly number[], bits = 0, prefix = 0): Pick<Comparison, 'value' | 'valueTwo'>[] {
  const mask = bits === 0 ? 0 : (lowWord << (32 - bits)) >>> 0;
  const within = excluded.filter((value) => (value & mask) >>> 0 === prefix);
  if (within.length === 0) return [{ value: mask, valueTwo: prefix }];
  if (bits === 32) return [];
  const next = (1 << (31 - bits)) >>> 0;
  return [...prefixesWithout(within, bits + 1, prefix), ...prefixesWithout(within, bits + 1, (prefix | next) >>> 0)];
}
