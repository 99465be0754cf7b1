import { Bus } from '@coppice/bus';
import { buckets } from '@coppice/contracts';
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
    start: (context) =>
      startLlmGateway(context, { tenantLimits: [{ tenant: 'acme', per: 'ever', tokens: 1_000, costUsd: 5 }] }),
  });
});
afterAll(async () => {
  await gateway.stop();
  await nats.stop();
});

async function run(tenant: string, ...typed: string[]): Promise<{ code: number; lines: string[] }> {
  const terminal = fakeTerminal({ interactive: false });
  const environment = { ...nats.environment };
  const interrupted = new AbortController().signal;
  const code = await runProgram(['--tenant', tenant, 'budgets', ...typed], {
    terminal,
    environment,
    tenant,
    interrupted,
  });
  return { code, lines: terminal.output.join('').trim().split('\n') };
}

test('nothing is subtracted from an unused budget', async () => {
  expect(await run('acme')).toEqual({
    code: 0,
    lines: [
      'tenant acme: 1000 tokens left of 1000 tokens; 0 tokens used',
      'tenant acme: 5.0000 USD left of 5.0000 USD; 0 USD used',
    ],
  });
});

test('used and reserved amounts are subtracted from what is left; the reservations of a lost gateway count as used', async () => {
  const amount = (tokens: number, costUsd: number) => ({ tokens, nanoUsd: costUsd * 1e9 });
  const lease = (endsAtMs: number, reserved: object) => ({ amount: amount(500, 2), reserved, endsAtMs, turnover: 1 });
  const leases = { living: lease(Date.now() + 600_000, amount(100, 0.5)), lost: lease(1, amount(30, 0.25)) };
  const account = { spent: amount(300, 1), leases };
  const bus = await Bus.connect({ ...nats.connection, name: 'budgets-test' });
  await bus.keyValue(buckets.budgets).put('tenant.acme', new TextEncoder().encode(JSON.stringify(account)));
  await bus.close();
  expect((await run('acme')).lines).toEqual([
    'tenant acme: 570 tokens left of 1000 tokens; 330 tokens used, 100 tokens reserved by calls in flight',
    'tenant acme: 3.2500 USD left of 5.0000 USD; 1.2500 USD used, 0.5000 USD reserved by calls in flight',
  ]);
  expect(JSON.parse((await run('acme', '--json')).lines.join(''))).toEqual({
    budgets: [
      {
        name: 'tenant acme',
        limit: { tokens: 1_000, costUsd: 5 },
        used: { tokens: 330, costUsd: 1.25 },
        reserved: { tokens: 100, costUsd: 0.5 },
      },
    ],
  });
});

test('for a tenant without limits, the output says that nothing is limited', async () => {
  expect(await run('other')).toEqual({ code: 0, lines: [expect.stringMatching(/^nothing is limited here/)] });
});
