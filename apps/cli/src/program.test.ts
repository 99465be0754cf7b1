import { gatewayVariables } from '@coppice/llm-gateway';
import { expect, test } from 'vitest';
import { runProgram } from './program.ts';
import { ofTheGateway } from './stack/gateway-environment.ts';
import { fakeTerminal } from './test-support/fake-terminal.ts';

test('--help tells every variable of the gateway that an embedded stack hands on; of a key, that it may come from a file is told elsewhere', async () => {
  const terminal = fakeTerminal({ interactive: false });
  const session = { terminal, environment: {}, interrupted: new AbortController().signal };
  expect(await runProgram(['--help'], session)).toBe(0);
  const help = terminal.output.join('\n');
  const variables = Object.keys(gatewayVariables).filter((name) => ofTheGateway.test(name) && !name.endsWith('_FILE'));
  expect(variables).toContain('COPPICE_GATEWAY_SOCKET');
  expect(variables.filter((name) => !help.includes(name))).toEqual([]);
});
