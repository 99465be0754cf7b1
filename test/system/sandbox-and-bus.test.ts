import { temporaryRepository } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { whyWithout } from '../support/engines.ts';
import { Stack } from '../support/stack.ts';

/** Tests that the bus rejects connections from a sandbox that shares the host's loopback. */

const absent = await whyWithout('bubblewrap');

describe.skipIf(absent !== null)(`from a sandbox${absent === null ? '' : ` (skipped: ${absent})`}`, () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await Stack.start({ engine: 'bubblewrap', script: 'default: { turns: [{ text: "good\\n" }] }' });
  }, 180_000);
  afterAll(() => stack?.stop());

  /** Returns a program that connects without credentials. It exits with 0 only if the server rejects the connection. */
  const knock = (port: string) => `
import { connect } from 'node:net';
const socket = connect(${port}, '127.0.0.1');
let said = '';
socket.on('data', (data) => {
  said += data;
  if (said.startsWith('INFO') && !said.includes('-ERR') && !said.includes('PONG')) socket.write('CONNECT {"verbose":false}\\r\\nPING\\r\\n');
  if (said.includes('-ERR')) { console.log('refused: ' + said.slice(said.indexOf('-ERR')).trim()); process.exit(0); }
  if (said.includes('PONG')) { console.log('let in'); process.exit(1); }
});
socket.on('error', (error) => { console.log('unreachable: ' + error.code); process.exit(7); });
setTimeout(() => { console.log('silence'); process.exit(8); }, 5000);
`;

  const verifyWith = async (network: 'none' | 'full', verify: string) => {
    const port = new URL(stack.nats.url.replace(/^nats:/, 'http:')).port;
    await using repository = await temporaryRepository({ files: { 'README.md': '# A\n', 'knock.mjs': knock(port) } });
    const { runId } = await stack.submit({
      repository: repository.path,
      baseBranch: 'main',
      tasks: [
        {
          name: 'one',
          description: 'Write one',
          prompt: 'write',
          agent: { kind: 'prompt', file: 'one.txt' },
          model: stack.model,
          network: { verify: network },
          verify,
        },
      ],
    });
    await stack.ended(runId);
    return (await stack.tasks(runId)).get('one');
  };

  test('with network, the bus rejects a client without credentials', async () => {
    expect(await verifyWith('full', 'node knock.mjs')).toMatchObject({ state: 'merged' });
  });

  test('without network, the bus can not be reached', async () => {
    const view = await verifyWith('none', 'node knock.mjs');
    expect(view).toMatchObject({ state: 'failed', reason: 'verify ended with exit code 7' });
    expect(view?.logTail).toMatch(/unreachable: (ECONNREFUSED|ENETUNREACH)/);
  });

  test("no credentials of the stack are in the sandbox's environment or files", async () => {
    const secret = stack.nats.password ?? '';
    expect(secret.length).toBeGreaterThan(8);
    const look = `! env | grep -q '${secret}' && ! grep -rqs '${secret}' /workspace /home /etc /tmp /run && ! cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n' | grep -q '${secret}$'`;
    // The command doesn't search command lines, since its own command line contains the password.
    expect(await verifyWith('full', look)).toMatchObject({ state: 'merged' });
  });
});
