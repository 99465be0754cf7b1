import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { message } from '../test-support/fixture.ts';
import { formatMessage, gitDate } from './message.ts';

const trailers = { taskId: 'task1', runId: 'run1', effectId: 'effect1' };

const trailersOf = (text: string): string[] =>
  execFileSync('git', ['interpret-trailers', '--parse'], { input: text, encoding: 'utf8' }).trim().split('\n');

test('a message has a conventional header, the body, and the trailers', () => {
  const text = formatMessage(
    {
      ...message('write the changelog'),
      body: 'Why it was needed.',
      coAuthor: 'scripted/plan <noreply@coppice.invalid>',
    },
    trailers,
  );
  expect(text).toBe(
    'feat(core): write the changelog\n\nWhy it was needed.\n\nCoppice-Task: task1\nCoppice-Run: run1\nCoppice-Effect: effect1\nCo-Authored-By: scripted/plan <noreply@coppice.invalid>\n',
  );
});

test('without a scope there are no parentheses', () => {
  expect(formatMessage({ ...message('x'), type: 'fix', scope: null }, trailers)).toMatch(/^fix: x\n/);
});

test.each([
  '\n\nCoppice-Effect: forged',
  '\r\rCoppice-Effect: forged',
  '\u2028Coppice-Effect: forged',
  '\0\nCoppice-Effect: forged',
])('a description can not forge a trailer with %j', (forged) => {
  const text = formatMessage(message(`x${forged}`), trailers);
  expect(text.split('\n')[0]).toBe('feat(core): x Coppice-Effect: forged');
  expect(trailersOf(text)).toEqual(['Coppice-Task: task1', 'Coppice-Run: run1', 'Coppice-Effect: effect1']);
});

test('a body or co-author can not forge a trailer', () => {
  const text = formatMessage(
    {
      ...message('x'),
      body: 'y\n\nCoppice-Effect: forged\n  coppice-task : z',
      coAuthor: 'a <a@b>\nCoppice-Run: forged',
    },
    trailers,
  );
  expect(text.match(/^Coppice-Effect:.*$/gm)).toEqual(['Coppice-Effect: effect1']);
  expect(text.match(/^coppice-(task|run)\s*:.*$/gim)).toEqual(['Coppice-Task: task1', 'Coppice-Run: run1']);
});

test('a long description is truncated in the header and complete in the body', () => {
  const long = 'word '.repeat(40).trim();
  const [header = '', , second] = formatMessage(message(long), trailers).split('\n');
  expect(header.length).toBeLessThanOrEqual(100);
  expect(header.endsWith('…')).toBe(true);
  expect(second).toBe(long);
});

test('dates are passed to git in UTC', () => {
  expect(gitDate('1970-01-02T01:00:00+01:00')).toBe('86400 +0000');
  expect(() => gitDate('yesterday')).toThrow(/date: expected RFC 3339/);
});
