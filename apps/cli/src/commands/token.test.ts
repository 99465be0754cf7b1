import { startLlmGateway } from '@coppice/llm-gateway';
import { startService } from '@coppice/service';
import type { StartedService } from '@coppice/service';
import { startNatsServer } from '@coppice/testing';
import type { NatsServer } from '@coppice/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runProgram } from '../program.ts';
import { fakeTerminal } from '../test-support/fake-terminal.ts';

let nats: NatsServer;
let gateway: StartedService;
beforeAll(async () => {
  nats = await startNatsServer({ auth: true });
  gateway = await startService({
    name: 'llm-gateway',
    version: '1.0.0',
    node: 'here',
    connection: nats.connection,
    makesResources: true,
    start: (context) => startLlmGateway(context, { httpAddresses: [{ host: '127.0.0.1', port: 0 }] }),
  });
});
afterAll(async () => {
  await gateway.stop();
  await nats.stop();
});

async function run(...typed: string[]): Promise<{ code: number; output: string; complaints: string }> {
  const terminal = fakeTerminal({ interactive: false });
  const session = {
    terminal,
    environment: { ...nats.environment },
    tenant: 'default',
    interrupted: new AbortController().signal,
  };
  const code = await runProgram(typed, session);
  return { code, output: terminal.output.join(''), complaints: terminal.complaints.join('\n') };
}

test('stdout has only the token, which is valid at the addresses on stderr', async () => {
  const { code, output, complaints } = await run('token', '--ttl', '5m', '--model', 'acme/one');
  expect(code).toBe(0);
  const [address] = /http:\/\/127\.0\.0\.1:\d+/.exec(complaints) ?? [];
  const response = await fetch(`${address}/v1/models`, { headers: { authorization: `Bearer ${output.trim()}` } });
  expect(await response.json()).toMatchObject({ data: [{ id: 'acme/one' }] });
});

test('a warning names a model that the gateway does not know, and the token is made anyway', async () => {
  const { code, output, complaints } = await run('token', '--model', 'fastt');
  expect([code, output]).toEqual([0, expect.stringMatching(/^ey/) as unknown]);
  expect(complaints).toContain('warning: model "fastt": expected provider/model');
});

test('--json adds the expiry and the addresses', async () => {
  const { output } = await run('token', '--json');
  expect(JSON.parse(output)).toEqual({
    token: expect.any(String) as unknown,
    expiresAt: expect.any(String) as unknown,
    addresses: [expect.stringMatching(/^http:/) as unknown],
  });
});

test('--model takes one value, so a later argument is the id', async () => {
  const { code, complaints } = await run('token', '--model', 'acme/one', 'r-no-such');
  expect([code, complaints]).toEqual([2, expect.stringContaining('r-no-such: expected the id of a run') as unknown]);
  const { output } = await run('token', '--model', 'acme/one', '--model', 'acme/two');
  const payload = output.split('.')[1] ?? '';
  const { grant } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { grant: object };
  expect(grant).toMatchObject({ models: ['acme/one', 'acme/two'] });
});

test('the token contains the limits of all calls with it', async () => {
  const { output } = await run('token', '--tokens', '1000', '--cost-usd', '0.5');
  const [, payload = ''] = output.split('.');
  const { grant } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { grant: object };
  expect(grant).toMatchObject({ tenant: 'default', runId: '', taskId: '', limits: { tokens: 1_000, costUsd: 0.5 } });
  for (const wrong of [
    ['--tokens', 'many'],
    ['--tokens', '1.5'],
    ['--cost-usd', '0'],
  ])
    expect((await run('token', ...wrong)).code).toBe(2);
});

test('a --ttl that is too short, too long or not a duration is rejected', async () => {
  for (const ttl of ['soon', '30h', '1ms']) {
    const { code, complaints } = await run('token', '--ttl', ttl);
    expect([code, complaints]).toEqual([2, expect.stringContaining('--ttl: expected a duration') as unknown]);
  }
});
