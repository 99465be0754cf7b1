import { gatewayVariables } from '@coppice/llm-gateway';
import { temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { runProgram } from './program.ts';
import { isOfTheGateway } from './stack/gateway-environment.ts';
import { fakeTerminal } from './test-support/fake-terminal.ts';

test('--help lists every variable that an embedded stack passes to its gateway, except those that name a file with a key', async () => {
  const terminal = fakeTerminal({ interactive: false });
  const session = { terminal, environment: {}, interrupted: new AbortController().signal };
  expect(await runProgram(['--help'], session)).toBe(0);
  const help = terminal.output.join('\n');
  const variables = Object.keys(gatewayVariables).filter((name) => isOfTheGateway(name) && !name.endsWith('_FILE'));
  expect(variables).toContain('COPPICE_GATEWAY_SOCKET');
  expect(variables.filter((name) => !help.includes(name))).toEqual([]);
});

test.each(['up', 'down'])('"%s" is rejected if NATS_URL names a remote stack', async (command) => {
  const terminal = fakeTerminal({ interactive: false });
  await using folder = await temporaryFolder('home');
  const environment = { NATS_URL: 'nats://elsewhere.invalid:4222', COPPICE_HOME: folder.path };
  const session = { terminal, environment, interrupted: new AbortController().signal };
  expect(await runProgram([command], session)).toBe(2);
  expect(terminal.complaints.join('\n')).toMatch(
    /NATS_URL is set, which names a stack that runs elsewhere: unset it to/,
  );
});

test('if a remote stack does not answer, doctor says which variables name it, and lists no model providers of this machine', async () => {
  const terminal = fakeTerminal({ interactive: false });
  const environment = { NATS_URL: 'nats://127.0.0.1:1', OPENAI_API_KEY: 'k' };
  const session = { terminal, environment, interrupted: new AbortController().signal };
  expect(await runProgram(['doctor'], session)).toBe(3);
  const output = terminal.output.join('');
  expect(output).toMatch(/fix: see what NATS_URL and NATS_CREDENTIALS_FILE .* say/);
  expect(output).not.toContain('model');
});
