/**
 * Tests whether a command can reach abstract Unix sockets of the host. Only a network namespace protects these sockets,
 * since they have no file mode.
 */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:net';
import { CoppiceError } from '@coppice/contracts';
import { answered, NoAnswer } from './no-answer.ts';
import type { Enforcement, NetworkPolicy } from './port.ts';
import type { Run } from './probe.ts';
import { reasonOf } from './reason.ts';

type Finding = { state: 'reached' | 'out of reach' } | { state: 'untried'; why: string };

const connectScript = (name: string) => `
if perl -MSocket -e 1 2>/dev/null; then
  perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); print "connect=", (connect(S, pack_sockaddr_un("\\0${name}")) ? 0 : 0+$!), "\\n"'
elif python3 -c 'import socket' 2>/dev/null; then
  python3 -c 'import socket; print("connect=%d" % socket.socket(socket.AF_UNIX).connect_ex(b"\\0${name}"))'
else echo 'untried'; fi
`;

export async function tryAbstractSockets(run: Run): Promise<Enforcement> {
  if (process.platform !== 'linux') return { enforced: true, how: 'this system has no abstract unix sockets' };
  const name = `coppice-probe-${randomUUID()}`;
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(`\0${name}`, resolve));
  try {
    const [none, full] = [await connect(run, name, 'none'), await connect(run, name, 'full')];
    const said = Object.entries({ none, full }).map(
      ([network, finding]) =>
        `with network ${network} an abstract unix socket of the host ${finding.state === 'untried' ? `could not be tried (${finding.why})` : `was ${finding.state}`}`,
    );
    const how = said.join(', ');
    if ([none, full].some(({ state }) => state === 'reached')) return { enforced: false, how };
    if ([none, full].some(({ state }) => state === 'untried')) return { enforced: null, how, untriable: true };
    return { enforced: true, how };
  } finally {
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}

async function connect(run: Run, name: string, network: NetworkPolicy): Promise<Finding> {
  try {
    const { stdout, stderr } = answered(await run(connectScript(name), {}, network));
    const errno = /^connect=(\d+)$/m.exec(stdout.text)?.[1];
    if (errno !== undefined) return { state: errno === '0' ? 'reached' : 'out of reach' };
    if (stdout.text.trim() === 'untried') return { state: 'untried', why: 'the image has neither perl nor python3' };
    return { state: 'untried', why: stderr.text.trim() || 'the command said nothing' };
  } catch (error) {
    // A daemon without a bridge network can't start a sandbox with network access.
    if (error instanceof NoAnswer || !(error instanceof CoppiceError) || error.retryable) throw error;
    return { state: 'untried', why: reasonOf(error) };
  }
}
