import { CoppiceError } from '@coppice/contracts';
import { describe, expect, test } from 'vitest';
import { parseAddress } from './address.ts';
import { AllowedRepositories } from './allowed-repositories.ts';

const lists = {
  acme: [
    '/nowhere/acme/*',
    '/nowhere/shared/docs.git',
    'https://git.example.com/acme/*',
    'https://git.example.com/acme/team/**',
    'https://git.example.com:8443/all/lib-*.git',
    'ssh://git@git.example.com/acme/**',
    'git@git.example.com:acme/*',
    'https://whole.example.com/**',
  ],
  empty: [],
  all: ['**'],
};
const allowed = new AllowedRepositories(lists);

function answerTo(tenant: string, address: string): string {
  try {
    allowed.of(tenant).requireName(parseAddress(address), address);
    return 'allowed';
  } catch (error) {
    return error instanceof CoppiceError ? error.code : String(error);
  }
}

describe('names', () => {
  test.each([
    '/nowhere/acme/shop',
    '/nowhere/acme/shop/',
    '/nowhere/acme/shop/.git',
    '/nowhere//acme/./shop',
    '/nowhere/other/../acme/shop',
    '/nowhere/acme/..shop',
    '/nowhere/shared/docs.git',
    'file:///nowhere/acme/sh%6Fp',
    'https://git.example.com/acme/shop',
    'https://git.example.com/acme/shop.git',
    'https://git.example.com/acme/shop.git/',
    'HTTPS://GIT.Example.COM:443/acme/shop',
    'https://git.example.com/acme/my%20shop',
    'https://git.example.com/acme/team/a/b',
    'https://git.example.com:8443/all/lib-one',
    'https://git.example.com:08443/all/lib-one.git',
    'ssh://git@git.example.com/acme/shop',
    'ssh://git@git.example.com:22/acme/team/shop.git',
    'git@git.example.com:/acme/shop',
    'git@GIT.example.com:acme/shop.git',
    'https://whole.example.com/any/thing',
  ])('%s is allowed', (address) => {
    expect(answerTo('acme', address)).toBe('allowed');
    expect(answerTo('empty', address)).toBe('permission-denied');
    expect(answerTo('unlisted', address)).toBe('permission-denied');
    expect(answerTo('all', address)).toBe('allowed');
  });

  test.each([
    '/nowhere/acme',
    '/nowhere/acme/',
    '/nowhere/acme/.git',
    '/nowhere/acme/../other/shop',
    '/nowhere/acme/shop/../../other/shop',
    '/nowhere/acme/shop/inner',
    '/nowhere/acme/shop/.git/modules/inner',
    '/nowhere/acmeshop',
    '/nowhere/ACME/shop',
    '/nowhere/shared/docs',
    'file:///nowhere/other/shop',
    'file:///nowhere/acme/%2e%2e/other/shop',
    'https://git.example.com/other/shop',
    'https://git.example.com/acme',
    'https://git.example.com/acme/',
    'https://git.example.com/acme/.git',
    'https://git.example.com/acme/shop/inner',
    'https://git.example.com/acme/../other/shop',
    'https://git.example.com/acme/team/../../other/shop',
    'https://git.example.com/acme/team/%2e%2e/%2e%2e/other/shop',
    'https://git.example.com/acme/team/%252e%252e/other/shop',
    'https://git.example.com/acme/..%2fother',
    'https://git.example.com/acme/x%2f..%2f..%2fother',
    'https://git.example.com/acme/..%5cother',
    'https://git.example.com/acme/team/..\\..\\other\\shop',
    'https://git.example.com/acme//shop',
    'https://git.example.com//acme/shop',
    'https://git.example.com/acme/shop?x=/../../other',
    'https://git.example.com/acme/shop#/../other',
    'https://git.example.com/acme/sh\u{ff0e}\u{ff0e}op',
    'https://git.example.com/acme/team/ shop',
    'https://git.example.com/acme/shop ',
    'https://git.example.com\\@evil.example.com/acme/shop',
    'https://git.example.com:8443/acme/shop',
    'https://git.example.com:444/acme/shop',
    'https://git.example.com./acme/shop',
    'https://git%2eexample.com/acme/shop',
    'https://git.example.com.evil.example.com/acme/shop',
    'https:///git.example.com/acme/shop',
    'https://evil.example.com/git.example.com/acme/shop',
    'http://git.example.com/acme/shop',
    'git://git.example.com/acme/shop',
    'https://git.example.com:8443/all/lib',
    'https://git.example.com:8443/all/lib-one/more',
    'ssh://root@git.example.com/acme/shop',
    'ssh://git.example.com/acme/shop',
    'ssh://git@git.example.com/~root/acme/shop',
    'ssh://git@git.example.com/acme/team/%2e%2e/%2e%2e/other',
    'root@git.example.com:acme/shop',
    'git@git.example.com:other/shop',
    'git@git.example.com:acme/../other',
    'git@git.example.com:acme/shop/../../other',
    'git@git.example.com:~root/acme/shop',
    'https://whole.example.com/',
    'https://whole.example.com/../x',
  ])('%s is not', (address) => {
    expect(answerTo('acme', address)).toBe('permission-denied');
    expect(answerTo('all', address)).toBe('allowed');
  });

  test('an address with a secret is rejected for that, and the error does not show the secret', () => {
    expect(answerTo('acme', 'https://token@git.example.com/acme/shop')).toBe('invalid-request');
    const hidden = 'ssh://git:secret@git.example.com/acme/shop';
    expect(answerTo('acme', hidden)).toBe('invalid-request');
  });

  test('an error names field and tenant, and is the same for all addresses', () => {
    const refused = (tenant: string, address: string) => () =>
      allowed.of(tenant).requireName(parseAddress(address), address);
    expect(refused('acme', '/etc')).toThrow(
      'repository: expected a repository that tenant "acme" may use, by the list that the operator of this stack maintains, got "/etc"',
    );
    expect(refused('other', '/etc')).toThrow(
      'repository: expected no repository, since tenant "other" may use none, got "/etc"',
    );
  });

  test('without lists, nothing is rejected', () => {
    const none = new AllowedRepositories(null);
    expect(() => none.of('acme').requireName(parseAddress('/etc'), '/etc')).not.toThrow();
    expect(() => none.of('acme').requireFolder('/etc', '/etc')).not.toThrow();
  });
});

test.each([
  '',
  'relative/*',
  '/a/**/b',
  '/a/x*y*',
  'https://host',
  'https://*.example.com/../x',
  'https://h/a b',
  'git@host:**',
])('the pattern %j is refused', (pattern) => {
  expect(() => new AllowedRepositories({ acme: [pattern] })).toThrow(RangeError);
});
