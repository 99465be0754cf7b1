import { CoppiceError } from '@coppice/contracts';
import { expect, test } from 'vitest';
import { parseAddress, redactText } from './address.ts';

test.each([
  ['/srv/x', { kind: 'local', path: '/srv/x' }],
  ['file:///srv/a%20b', { kind: 'local', path: '/srv/a b' }],
  ['FILE://localhost/srv/x', { kind: 'local', path: '/srv/x' }],
  ['file:///srv/x/../y', { kind: 'local', path: '/srv/y' }],
  ['https://example.invalid/x.git', { kind: 'remote', url: 'https://example.invalid/x.git' }],
  ['ssh://git@example.invalid/x.git', { kind: 'remote', url: 'ssh://git@example.invalid/x.git' }],
  ['git@example.invalid:x/y@z.git', { kind: 'remote', url: 'git@example.invalid:x/y@z.git' }],
])('%s is understood', (address, expected) => {
  expect(parseAddress(address)).toEqual(expected);
});

const secrets = [
  'https://me:sekret@example.invalid/x',
  'https://sekret@example.invalid/x',
  'http://sekret@example.invalid/x',
  'https://a@sekret@example.invalid/x',
  'https://sek:ret@sekret@example.invalid:99999/x',
  'ssh://me:sekret@example.invalid/x',
  'git://sekret@example.invalid/x',
  'ftp://me:sekret@example.invalid/x',
  'me:sekret@example.invalid:x',
  'me:sekret@example.invalid/x',
  'sekret@',
  'https://example.invalid/x?private_token=sekret',
  'https://example.invalid/x?a=b&access_token=sekret#c',
  `ftp://me:sekret${'x'.repeat(400)}@example.invalid/x`,
  'file://me:sekret@localhost/x',
];

test.each(secrets)('%s is rejected, and the error does not show its secret', (address) => {
  let failure: unknown;
  try {
    parseAddress(address);
  } catch (error) {
    failure = error;
  }
  expect(failure).toBeInstanceOf(CoppiceError);
  expect(failure).toMatchObject({ code: 'invalid-request' });
  const { message, details } = failure as CoppiceError;
  expect(message + JSON.stringify(details)).not.toMatch(/sekret/);
});

test('the error for a secret says what to do instead', () => {
  expect(() => parseAddress('https://token@example.invalid/x')).toThrow(/without a user name.*credential helper/);
  expect(() => parseAddress('https://example.invalid/x?token=1')).toThrow(/without a token.*credential helper/);
});

test.each(['file://server/x', 'file:///a%2Fb', 'file:///a?b', 'file:///a#b', 'file:///a%0Ab', 'relative', '-x', ''])(
  '%s is refused',
  (address) => {
    expect(() => parseAddress(address)).toThrow(/^repository: expected /);
  },
);

test('possible secrets are removed from the URLs in a text', () => {
  expect(redactText("fatal: 'ssh://a:b@c@host/x' and https://t@h/y@z?x=1&token=s 'http://h/?sig=s'")).toBe(
    "fatal: 'ssh://***@host/x' and https://***@h/y@z?x=1&token=*** 'http://h/?sig=***'",
  );
});
