import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import { temporaryFolder } from '@coppice/testing';
import { describe, expect, test } from 'vitest';
import { forTenant } from '../context.ts';
import { openContext } from '../open.ts';
import { shell } from '../test-support/fixture.ts';
import { httpRemote } from '../test-support/http-remote.ts';
import { parseAddress } from './address.ts';
import { AllowedRepositories } from './allowed-repositories.ts';
import { inspect } from './inspect.ts';

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

  test('an address with a secret is refused for that, and the secret not told', () => {
    expect(answerTo('acme', 'https://token@git.example.com/acme/shop')).toBe('invalid-request');
    const hidden = 'ssh://git:secret@git.example.com/acme/shop';
    expect(answerTo('acme', hidden)).toBe('invalid-request');
  });

  test('a refusal names field and tenant, and says the same of all names', () => {
    const refused = (tenant: string, address: string) => () =>
      allowed.of(tenant).requireName(parseAddress(address), address);
    expect(refused('acme', '/etc')).toThrow(
      'repository: expected a repository that tenant "acme" is allowed, as the list says that the operator of this stack keeps, got "/etc"',
    );
    expect(refused('other', '/etc')).toThrow(
      'repository: expected no repository, since none is allowed to tenant "other", got "/etc"',
    );
  });

  test('without lists nothing is refused', () => {
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

/** Folders of two tenants on one disk: each a repository, and what acme may make of its own. */
async function twoTenants() {
  const folder = await temporaryFolder('allowed');
  const at = (...parts: string[]) => join(folder.path, ...parts);
  for (const name of ['acme/shop', 'other/secret'])
    await shell(`git init -q -b main '${name}' && git -C '${name}' commit -q --allow-empty -m first`, folder.path);
  // What lies behind a link of the operator's own is what the pattern means.
  symlinkSync(at('acme'), at('linked-acme'));
  const context = await openContext({
    dataFolder: at('data'),
    node: 'node1',
    allowedRepositories: new AllowedRepositories({
      acme: [at('linked-acme', '*'), at('late', '*')],
      other: [at('other', '**')],
    }),
  });
  const look = (tenant: string, repository: string) =>
    inspect(forTenant(context, tenant), { repository, baseBranch: 'main' });
  return { at, look, context, folder: folder.path, [Symbol.asyncDispose]: folder.remove };
}
const denied = { code: 'permission-denied', retryable: false, details: { issues: [{ field: 'repository' }] } };

describe('folders', () => {
  test('are allowed where they lie, by whatever way', async () => {
    await using f = await twoTenants();
    symlinkSync(f.at('acme/shop'), f.at('acme/alias'));
    const names = [f.at('acme/shop'), f.at('linked-acme/shop'), f.at('acme/alias'), `file://${f.at('acme/shop/.git')}`];
    for (const name of names) {
      expect(await f.look('acme', name)).toMatchObject({ repository: f.at('acme/shop') });
      await expect(f.look('other', name)).rejects.toMatchObject(denied);
    }
    expect(await f.look('other', f.at('other/secret'))).toMatchObject({ repository: f.at('other/secret') });
  });

  test('nobody and the unlisted have none', async () => {
    await using f = await twoTenants();
    await expect(f.look('unlisted', f.at('acme/shop'))).rejects.toMatchObject(denied);
    await expect(f.look('', f.at('acme/shop'))).rejects.toMatchObject(denied);
    await expect(inspect(f.context, { repository: f.at('acme/shop'), baseBranch: 'main' })).rejects.toMatchObject(
      denied,
    );
  });

  test('what is there and what is not is refused alike', async () => {
    await using f = await twoTenants();
    const refusals = await Promise.all(
      ['other/secret', 'other/absent', 'other', 'data'].map((name) =>
        f.look('acme', f.at(name)).then(
          () => 'allowed',
          (error: Error) => error.message.replace(f.at(name), 'NAME'),
        ),
      ),
    );
    expect(new Set(refusals).size).toBe(1);
    await expect(f.look('acme', f.at('acme/absent'))).rejects.toMatchObject({ code: 'repository-not-found' });
  });

  const leadingOut: [string, (at: (...parts: string[]) => string) => Promise<unknown> | void][] = [
    ['a link to it', (at) => symlinkSync(at('other/secret'), at('acme/out'))],
    ['a link to where it lies', (at) => symlinkSync(at('other'), at('acme/out'))],
    [
      'a file that names its git directory',
      (at) => {
        mkdirSync(at('acme/out'));
        writeFileSync(at('acme/out/.git'), `gitdir: ${at('other/secret/.git')}\n`);
      },
    ],
    [
      'a link in place of its git directory',
      (at) => {
        mkdirSync(at('acme/out'));
        symlinkSync(at('other/secret/.git'), at('acme/out/.git'));
      },
    ],
    [
      'a git directory that shares with it',
      async (at) => {
        await shell(`git init -q -b main out && git -C out commit -q --allow-empty -m first`, at('acme'));
        writeFileSync(at('acme/out/.git/commondir'), `${at('other/secret/.git')}\n`);
      },
    ],
    ['a worktree of it', (at) => shell(`git worktree add -q '${at('acme/out')}' -b side`, at('other/secret'))],
  ];
  test.each(leadingOut)('to another tenant’s repository leads no way: %s', async (_what, lead) => {
    await using f = await twoTenants();
    await lead(f.at);
    for (const name of ['acme/out', 'linked-acme/out'])
      await expect(f.look('acme', f.at(name))).rejects.toMatchObject(denied);
    for (const name of ['acme/out/.git', 'acme/out/secret'])
      await expect(f.look('acme', f.at(name))).rejects.toBeInstanceOf(CoppiceError);
  });

  test('a folder that is turned into a link after it was known is refused', async () => {
    await using f = await twoTenants();
    for (let times = 0; times < 3; times++) await f.look('acme', f.at('acme/shop'));
    renameSync(f.at('acme/shop'), f.at('acme/moved'));
    symlinkSync(f.at('other/secret'), f.at('acme/shop'));
    await expect(f.look('acme', f.at('acme/shop'))).rejects.toMatchObject(denied);
    rmSync(f.at('acme/shop'));
    mkdirSync(f.at('acme/shop'));
    symlinkSync(f.at('other/secret/.git'), f.at('acme/shop/.git'));
    await expect(f.look('acme', f.at('acme/shop'))).rejects.toMatchObject(denied);
  });

  test('one that is known from its own tenant is refused to another', async () => {
    await using f = await twoTenants();
    for (let times = 0; times < 3; times++) await f.look('other', f.at('other/secret'));
    await expect(f.look('acme', f.at('other/secret'))).rejects.toMatchObject(denied);
  });

  test('a repository around an allowed folder is not told', async () => {
    await using f = await twoTenants();
    await shell('git init -q -b main . && mkdir acme/plain', f.folder);
    await expect(f.look('acme', f.at('acme/plain'))).rejects.toMatchObject(denied);
  });
});

test('an allowed server leads to no other', async () => {
  await using folder = await temporaryFolder('redirects');
  await shell('git init -q -b main --bare secret.git', folder.path);
  await using secret = await httpRemote(join(folder.path, 'secret.git'));
  const redirecting = createServer((request, response) => {
    response.writeHead(302, { location: `${secret.url}${(request.url ?? '').replace(/^\/acme\/shop/, '')}` }).end();
  });
  await new Promise<void>((resolve) => {
    redirecting.listen(0, '127.0.0.1', resolve);
  });
  const server = `http://127.0.0.1:${(redirecting.address() as AddressInfo).port}`;
  try {
    const look = async (patterns: Record<string, string[]> | null) => {
      const allowedRepositories = new AllowedRepositories(patterns);
      const context = await openContext({ dataFolder: join(folder.path, 'data'), node: 'node1', allowedRepositories });
      return inspect(forTenant(context, 'acme'), { repository: `${server}/acme/shop`, baseBranch: 'main' });
    };
    await expect(look({ acme: [`${server}/**`] })).rejects.toMatchObject({
      code: 'repository-not-found',
      message: expect.stringContaining('302') as string,
    });
    expect(secret.requests).toEqual([]);
    // It would have been followed.
    await expect(look(null)).rejects.toMatchObject({ code: 'branch-not-found' });
    expect(secret.requests).not.toEqual([]);
  } finally {
    redirecting.closeAllConnections();
    redirecting.close();
  }
});
