/**
 * Tests whether the active system call filter is this project's filter. The test makes several calls, since another
 * filter or an older kernel can also give one of the expected results.
 */
import { answered } from './no-answer.ts';
import type { Enforcement } from './port.ts';
import type { Run } from './probe.ts';

const eperm = 1;
const enosys = 38;
/** Number of the `socket` call by `uname -m`. */
const socketNumbers = { x86_64: 41, aarch64: 198 } as const;
const ioUringSetup = 425;
const families = { unix: 1, vsock: 40 } as const;

/** Expected errno of each call, 0 for success. */
const expected = {
  'socket(AF_UNIX)': 0,
  'socket(AF_VSOCK)': eperm,
  io_uring_setup: enosys,
} as const;

const calls = (socket: string): [string, string][] => [
  ['socket(AF_UNIX)', `${socket}, ${families.unix}, 1, 0`],
  ['socket(AF_VSOCK)', `${socket}, ${families.vsock}, 1, 0`],
  ['io_uring_setup', `${ioUringSetup}, 1, 0`],
];

const perl = calls('$n').map(
  ([name, values]) => `\\$! = 0; \\$r = syscall(${values}); print '${name}=', (\\$r == -1 ? 0+\\$! : 0), qq(\\n);`,
);
const python = calls('$n').map(
  ([name, values]) =>
    `ctypes.set_errno(0); r = call(${values}); print('${name}=%d' % (ctypes.get_errno() if r == -1 else 0))`,
);

const script = `
grep '^Seccomp:' /proc/self/status | sed 's/:[[:space:]]*/=/'
case "$(uname -m)" in ${Object.entries(socketNumbers)
  .map(([machine, number]) => `${machine}) n=${number};;`)
  .join(' ')} *) n=;; esac
if [ -z "$n" ]; then echo "untried=the number of socket on $(uname -m) is unknown"
elif perl -e 1 2>/dev/null; then perl -e "${perl.join(' ')}"
elif python3 -c 'import ctypes' 2>/dev/null; then python3 -c "import ctypes
call = ctypes.CDLL(None, use_errno=True).syscall
${python.join('\n')}"
else echo 'untried=the image has neither perl nor python3 to make system calls with'; fi
`;

export async function trySeccomp(run: Run): Promise<Enforcement> {
  const { stdout } = answered(await run(script));
  const answers = new Map(stdout.text.split('\n').map((line) => line.split('=') as [string, string]));
  const mode = answers.get('Seccomp') ?? 'nothing';
  if (mode !== '2') return { enforced: false, how: `/proc/self/status said Seccomp ${mode}: no filter is in force` };
  const untried = answers.get('untried');
  if (untried !== undefined)
    return {
      enforced: null,
      how: `a filter is in force, but whether it is ours can't be tried: ${untried}`,
      untriable: true,
    };
  const said = Object.entries(expected).map(([name, errno]) => ({ name, errno, answer: answers.get(name) }));
  return {
    enforced: said.every(({ errno, answer }) => answer === String(errno)),
    how: said
      .map(({ name, errno, answer = 'nothing' }) => `${name} answered ${answer} (of our filter: ${errno})`)
      .join(', '),
  };
}
