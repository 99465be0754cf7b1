/**
 * System calls that a sandbox may not make, since kernel exploits use them, and builds and tests don't need them. Bubblewrap's filter
 * (seccomp.ts) and Docker's profile (docker-seccomp.ts) are both generated from these tables. Numbers are from the kernel's tables for
 * x86-64 (asm/unistd_64.h) and arm64 (asm-generic/unistd.h).
 */

/** Refused calls with their numbers on [x86-64, arm64]. Null if the architecture has no such call. */
export const refusedCalls: Record<string, readonly [number, number | null]> = {
  acct: [163, 89],
  add_key: [248, 217],
  adjtimex: [159, 171],
  bpf: [321, 280],
  chroot: [161, 51],
  clock_adjtime: [305, 266],
  clock_settime: [227, 112],
  delete_module: [176, 106],
  finit_module: [313, 273],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fsopen: [430, 430],
  fspick: [433, 433],
  init_module: [175, 105],
  ioperm: [173, null],
  iopl: [172, null],
  kcmp: [312, 272],
  kexec_file_load: [320, 294],
  kexec_load: [246, 104],
  keyctl: [250, 219],
  lookup_dcookie: [212, 18],
  modify_ldt: [154, null],
  mount: [165, 40],
  mount_setattr: [442, 442],
  move_mount: [429, 429],
  move_pages: [279, 239],
  name_to_handle_at: [303, 264],
  open_by_handle_at: [304, 265],
  open_tree: [428, 428],
  perf_event_open: [298, 241],
  pidfd_getfd: [438, 438],
  pivot_root: [155, 41],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  ptrace: [101, 117],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  reboot: [169, 142],
  request_key: [249, 218],
  setdomainname: [171, 162],
  sethostname: [170, 161],
  setns: [308, 268],
  settimeofday: [164, 170],
  swapoff: [168, 225],
  swapon: [167, 224],
  syslog: [103, 116],
  umount2: [166, 39],
  unshare: [272, 97],
  userfaultfd: [323, 282],
  vhangup: [153, 58],
};

/**
 * Calls that return ENOSYS, so that libc and libuv use older calls. A filter can read the arguments of the older calls.
 */
export const absentCalls: Record<string, number> = {
  clone3: 435,
  io_uring_setup: 425,
  io_uring_enter: 426,
  io_uring_register: 427,
};

/**
 * Rule for a call that is allowed or refused by one argument. Only the low 32 bits of the argument are compared, since the kernel ignores
 * the high bits in these calls.
 */
export type ArgumentRule = {
  numbers: readonly [number, number];
  argument: number;
} & ({ refusedBits: number } | { refusedValues: readonly number[] } | { allowedValues: readonly number[] });

/**
 * Allowed address families: AF_UNIX, AF_INET, AF_INET6 and AF_NETLINK. libc lists network interfaces through
 * AF_NETLINK. Other families load kernel modules that builds don't need, and AF_VSOCK reaches the host of a virtual
 * machine.
 */
const socketFamilies = [1, 2, 10, 16] as const;

export const argumentRules: Record<string, ArgumentRule> = {
  /** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. NEWTIME isn't a flag of clone. */
  clone: { numbers: [56, 220], argument: 0, refusedBits: 0x7e020000 },
  /** TIOCSTI and TIOCLINUX insert terminal input. A shell that reads from the same terminal later would run this input. */
  ioctl: { numbers: [16, 29], argument: 1, refusedValues: [0x5412, 0x541c] },
  /**
   * PER_LINUX and PER_LINUX32, each also with UNAME26, and 0xffffffff, which reads the current value. Docker's default
   * profile allows the same values.
   */
  personality: { numbers: [135, 92], argument: 0, allowedValues: [0, 0x8, 0x20000, 0x20008, 0xffffffff] },
  socket: { numbers: [41, 198], argument: 0, allowedValues: socketFamilies },
  socketpair: { numbers: [53, 199], argument: 0, allowedValues: socketFamilies },
};
