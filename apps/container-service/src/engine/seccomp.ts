/**
 * A seccomp filter for engines that bring none: a classic BPF program, as the kernel takes it, that refuses the system
 * calls a build or a test has no use for and kernel exploits have: new namespaces, mounts, keyrings, tracing, modules.
 * Numbers are from the kernel's tables for x86-64 (asm/unistd_64.h) and arm64 (asm-generic/unistd.h).
 */
const eperm = 1;
const enosys = 38;

/** [x86-64, arm64]; null where the architecture has no such call. */
const refused: Record<string, readonly [number, number | null]> = {
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

/** Answered with ENOSYS, upon which libc and libuv fall back to calls whose arguments can be looked at. */
const absent: Record<string, number> = {
  clone3: 435,
  io_uring_setup: 425,
  io_uring_enter: 426,
  io_uring_register: 427,
};

const architectures = {
  x64: { audit: 0xc000003e, column: 0, clone: 56, ioctl: 16, socket: 41 },
  arm64: { audit: 0xc00000b7, column: 1, clone: 220, ioctl: 29, socket: 198 },
} as const;

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, and NEWTIME isn't one of clone's flags. */
const cloneNewMask = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000;
/** Terminal input that a later reader of the same terminal would run: TIOCSTI and TIOCLINUX. */
const terminalRequests = [0x5412, 0x541c];
/** AF_VSOCK reaches the hypervisor's host. */
const familyVsock = 40;

const loadWord = 0x20;
const jumpEqual = 0x15;
const jumpGreaterOrEqual = 0x35;
const jumpBitsSet = 0x45;
const give = 0x06;
const allow = 0x7fff0000;
const errnoAction = (errno: number) => 0x00050000 | errno;
/** Offsets in struct seccomp_data; both architectures are little-endian, so an argument's low word comes first. */
const offset = { number: 0, architecture: 4, argument: (index: number) => 16 + 8 * index };

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number];

export type SeccompArchitecture = keyof typeof architectures;

export function isSeccompArchitecture(name: string): name is SeccompArchitecture {
  return Object.hasOwn(architectures, name);
}

/** An array of struct sock_filter, 8 bytes each: what `bwrap --seccomp FD` reads. */
export function seccompFilter(architecture: SeccompArchitecture): Buffer {
  const { audit, column, clone, ioctl, socket } = architectures[architecture];
  const refuseNow: Instruction = [give, 0, 0, errnoAction(eperm)];
  const program: Instruction[] = [
    [loadWord, 0, 0, offset.architecture],
    // 32-bit calls have other numbers: none gets by.
    [jumpEqual, 1, 0, audit],
    refuseNow,
    [loadWord, 0, 0, offset.number],
  ];
  // x32 calls carry this bit and would evade the numbers below.
  if (architecture === 'x64') program.push([jumpGreaterOrEqual, 0, 1, 0x40000000], refuseNow);
  for (const numbers of Object.values(refused)) {
    const number = numbers[column];
    if (number !== null) program.push([jumpEqual, 0, 1, number], refuseNow);
  }
  for (const number of Object.values(absent))
    program.push([jumpEqual, 0, 1, number], [give, 0, 0, errnoAction(enosys)]);
  const whenArgument = (number: number, index: number, tests: Instruction[]) => {
    // Not this call: over the load, the tests with their answers, and the reload.
    program.push([jumpEqual, 0, tests.length * 2 + 2, number], [loadWord, 0, 0, offset.argument(index)]);
    for (const test of tests) program.push(test, refuseNow);
    program.push([loadWord, 0, 0, offset.number]);
  };
  whenArgument(clone, 0, [[jumpBitsSet, 0, 1, cloneNewMask]]);
  whenArgument(
    ioctl,
    1,
    terminalRequests.map((request): Instruction => [jumpEqual, 0, 1, request]),
  );
  whenArgument(socket, 0, [[jumpEqual, 0, 1, familyVsock]]);
  program.push([give, 0, 0, allow]);

  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, [code, ifTrue, ifFalse, value]] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(ifTrue, index * 8 + 2);
    bytes.writeUInt8(ifFalse, index * 8 + 3);
    bytes.writeUInt32LE(value >>> 0, index * 8 + 4);
  }
  return bytes;
}
