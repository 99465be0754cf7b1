import { trace } from '@opentelemetry/api';
import { expect, test } from 'vitest';
import { createLogger } from './logger.ts';
import { redact } from './redaction.ts';

function capture(environment: NodeJS.ProcessEnv = {}) {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) };
  return { lines, logger: createLogger('test', { destination, environment }) };
}

test('a line is JSON with name, level, time and message', () => {
  const { lines, logger } = capture();
  logger.info({ taskId: 't1' }, 'hello');
  expect(lines).toEqual([expect.objectContaining({ name: 'test', level: 'info', taskId: 't1', msg: 'hello' })]);
  expect(lines[0]?.['time']).toMatch(/^\d{4}-.*Z$/);
  expect(trace.getActiveSpan()).toBeUndefined();
  expect(lines[0]).not.toHaveProperty('trace_id');
});

test('the level comes from the environment', () => {
  const warn = capture({ COPPICE_LOG_LEVEL: 'WARN' });
  warn.logger.info('no');
  warn.logger.warn('yes');
  expect(warn.lines.map((line) => line['msg'])).toEqual(['yes']);
  const silent = capture({ COPPICE_LOG_LEVEL: 'silent' });
  silent.logger.fatal('no');
  expect(silent.lines).toEqual([]);
  const wrong = capture({ COPPICE_LOG_LEVEL: 'loud' });
  wrong.logger.info('yes');
  expect(wrong.lines).toHaveLength(1);
});

test('secrets are not logged, in any field or text', () => {
  const { lines, logger } = capture();
  const secret = 'hunter2-hunter2-hunter2';
  logger.info(
    {
      password: secret,
      request: { headers: { authorization: secret, 'x-api-key': secret } },
      url: `nats://me:${secret}@localhost:4222`,
    },
    `called with sk-ant-${secret} and Bearer ${secret}`,
  );
  logger.error({ err: new Error(`401 for key sk-${secret}`) });
  expect(JSON.stringify(lines)).not.toContain(secret);
  expect(lines[0]?.['url']).toBe('nats://me:[redacted]@localhost:4222');
});

test('a stack trace is logged for a defect, but not for an expected error', () => {
  const { lines, logger } = capture();
  logger.warn({
    err: Object.assign(new Error('busy'), { code: 'unavailable', retryable: true, details: { after: 1 } }),
  });
  logger.error({ err: new TypeError('oops') });
  expect(lines[0]?.['err']).toEqual({
    type: 'Error',
    code: 'unavailable',
    message: 'busy',
    retryable: true,
    details: { after: 1 },
  });
  expect(lines[1]?.['err']).toMatchObject({
    type: 'TypeError',
    message: 'oops',
    stack: expect.stringContaining('logger.test.ts'),
  });
});

test.each([
  'sk-proj-abcdefghijklmnop1234',
  'ghp_abcdefghijklmnopqrst12',
  'AIzaSyA1234567890abcdefghijklmnopqrstuv',
  'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl',
  '-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----',
])('%s looks like a key', (text) => {
  expect(redact(`a ${text} b`)).toBe('a [redacted] b');
});

test.each([
  ['x-eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.', 'x-[redacted]'],
  ['eyJ-eyJ-eyJhbGci.eyJzdWIiOiIxIn0.c2ln', '[redacted]'],
  ['a.eyJzdWIi.eyJhbGciOiJI.eyJzdWIiOiIx.c2ln b', 'a.eyJzdWIi.[redacted] b'],
  ['1http://me:hunter2@host', '1http://me:[redacted]@host'],
])('a secret inside %s is redacted', (text, expected) => {
  expect(redact(text)).toBe(expected);
});

// In quadratic time, the redaction would take minutes, and the test would time out.
test.each(
  ['a', '1', 'eyJ-', 'eyJaaaaaaaa.', 'a+-.', '://a:', 'sk-', 'SU', 'xoxb-', 'bearer ', 'BASIC', '-----BEGIN ', ' '].map(
    (part) => ({ part }),
  ),
)('a long text of "$part" is redacted in linear time', ({ part }) => {
  const text = part.repeat(300_000 / part.length);
  expect(redact(text).length).toBeGreaterThan(0);
});

test('ordinary text is not changed', () => {
  const text =
    'merged 00-4bf92f3577b34da6a3ce929d0e0e4736 at http://localhost:4222/path, task tabcdefghijklmnop, risk-averse sk-short, basic authentication';
  expect(redact(text)).toBe(text);
});
