/** Tests that every endpoint rejects a body that different parsers could read differently. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestFacade, token } from './test-support/start-facade.ts';
import type { TestFacade } from './test-support/start-facade.ts';

let facade: TestFacade;
beforeAll(async () => {
  facade = await startTestFacade();
});
afterAll(() => facade[Symbol.asyncDispose]());

const endpoints = [
  '/v1/chat/completions',
  '/v1/responses',
  '/v1/messages',
  '/v1beta/models/acme%2Facme-1:generateContent',
];
const bodies: [body: Buffer, complaint: RegExp][] = [
  [
    Buffer.from('{"model":"a",\n "model":"b"}'),
    /model: expected each field once, received it again at line 2, column 2/,
  ],
  [
    Buffer.from('{"model":"caf\xe9"}', 'latin1'),
    /model: expected text in UTF-8, received the byte 0xe9 at line 1, column 14/,
  ],
  [Buffer.from('{"messages":[{"content":"\\ud83d"}]}'), /messages(\[0\]|\.0)\.content: expected Unicode text/],
  [
    Buffer.from('{"messages":[{"content":1},]}'),
    /messages(\[1\]|\.1): expected (JSON, here )?a value, received \]\} at line 1, column 28/,
  ],
  [Buffer.from(`{"messages":${'['.repeat(200)}`), /messages: expected at most 128 levels of nesting/],
];

test.each(endpoints.flatMap((path) => bodies.map(([body, complaint]) => ({ path, body, complaint }))))(
  '$path: $complaint',
  async ({ path, body, complaint }) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const before = facade.upstream.requests.length;
    const response = await fetch(`${facade.url}${path}`, { method: 'POST', headers, body });
    expect([400, 413]).toContain(response.status);
    expect(await response.text()).toMatch(complaint);
    expect(facade.upstream.requests).toHaveLength(before);
  },
);
