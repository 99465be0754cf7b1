import { expect, test } from 'vitest';
import { runProgram } from '../program.ts';
import { fakeTerminal } from '../test-support/fake-terminal.ts';

function start(...typed: string[]) {
  const terminal = fakeTerminal({ interactive: false });
  const ctrlC = new AbortController();
  const session = { terminal, environment: {}, tenant: undefined, interrupted: ctrlC.signal };
  const code = runProgram(['faulty-upstream', ...typed], session);
  return { terminal, code, ctrlC };
}

test('it prints its address and each request, produces the requested fault, and ends with Ctrl-C', async () => {
  const { terminal, code, ctrlC } = start('--port', '0', '--fault', 'http-503');
  await expect.poll(() => terminal.complaints, { timeout: 20_000 }).toHaveLength(1);
  const [url] = /^http:\S+/.exec(terminal.complaints[0] ?? '') ?? [];
  const body = JSON.stringify({ model: 'gpt-5', messages: [{ role: 'user', content: 'hello' }] });
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  expect([response.status, await response.json()]).toMatchObject([503, { error: { type: 'server_error' } }]);
  await expect
    .poll(() => terminal.output.join(''), { timeout: 20_000 })
    .toBe('openai-chat gpt-5 (no stream): http-503, sent to its end\n');
  ctrlC.abort();
  expect(await code).toBe(0);
});

test('--list prints all faults', async () => {
  const { terminal, code } = start('--list');
  expect(await code).toBe(0);
  expect(terminal.output.join('')).toMatch(/^ {2}cut-after-output\[@ms\] +breaks the connection/m);
});

test('an invalid option is reported before anything is started', async () => {
  for (const [typed, complaint] of [
    [['--fault', 'bad-luck'], '--fault bad-luck: no such model "bad-luck": expected a fault, healthy'],
    [['--fault', 'healthy@3'], 'takes no amount'],
    [['--port', '70000'], 'A number from 0 to 65535'],
    [['--every', '0'], 'A number from 1 to'],
    [['--host', '203.0.113.1'], "can't listen on 203.0.113.1:8799"],
  ] as const) {
    const { terminal, code } = start(...typed);
    expect({ typed, code: await code }).toEqual({ typed, code: 2 });
    expect(terminal.complaints.join('\n')).toContain(complaint);
  }
});
