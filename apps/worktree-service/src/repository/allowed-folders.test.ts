import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import { temporaryFolder } from '@coppice/testing';
import { describe, expect, test } from 'vitest';
import { forTenant } from '../context.ts';
import { openContext } from '../open.ts';
import { commit } from '../import/import.ts';
import { land } from '../merge/land.ts';
import { prepareMerge } from '../merge/prepare-merge.ts';
import { date, message, runId, shell, taskId, write } from '../test-support/fixture.ts';
import { httpRemote } from '../test-support/http-remote.ts';
import { prepare } from '../worktree/prepare.ts';
import { remove } from '../worktree/remove.ts';
import { AllowedRepositories } from './allowed-repositories.ts';
import { inspect } from './inspect.ts';

/**
 * Creates a folder with a repository for each of two tenants. The tests add files and links that the tenant acme might
 * create.
 */
async function twoTenants() {
  const folder = await temporaryFolder('allowed');
  const at = (...parts: string[]) => join(folder.path, ...parts);
  for (const name of ['acme/shop', 'other/secret'])
    await shell(`git init -q -b main '${name}' && git -C '${name}' commit -q --allow-empty -m first`, folder.path);
  // If an operator's pattern contains a link, it applies to the link's target.
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
  test('are allowed by their real path, however they are named', async () => {
    await using f = await twoTenants();
    symlinkSync(f.at('acme/shop'), f.at('acme/alias'));
    const names = [f.at('acme/shop'), f.at('linked-acme/shop'), f.at('acme/alias'), `file://${f.at('acme/shop/.git')}`];
    for (const name of names) {
      expect(await f.look('acme', name)).toMatchObject({ repository: f.at('acme/shop') });
      await expect(f.look('other', name)).rejects.toMatchObject(denied);
    }
    expect(await f.look('other', f.at('other/secret'))).toMatchObject({ repository: f.at('other/secret') });
  });

  test('are not allowed without a tenant, or to a tenant without a list', async () => {
    await using f = await twoTenants();
    await expect(f.look('unlisted', f.at('acme/shop'))).rejects.toMatchObject(denied);
    await expect(f.look('', f.at('acme/shop'))).rejects.toMatchObject(denied);
    await expect(inspect(f.context, { repository: f.at('acme/shop'), baseBranch: 'main' })).rejects.toMatchObject(
      denied,
    );
  });

  test('are rejected with the same error whether they exist or not', async () => {
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
    ['a link to its parent folder', (at) => symlinkSync(at('other'), at('acme/out'))],
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
  test.each(leadingOut)('do not lead to another tenant’s repository: %s', async (_what, lead) => {
    await using f = await twoTenants();
    await lead(f.at);
    for (const name of ['acme/out', 'linked-acme/out'])
      await expect(f.look('acme', f.at(name))).rejects.toMatchObject(denied);
    for (const name of ['acme/out/.git', 'acme/out/secret'])
      await expect(f.look('acme', f.at(name))).rejects.toBeInstanceOf(CoppiceError);
  });

  test('are rejected if a link replaces a folder that was allowed before', async () => {
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

  test('are rejected for another tenant even if they are cached for their own tenant', async () => {
    await using f = await twoTenants();
    for (let times = 0; times < 3; times++) await f.look('other', f.at('other/secret'));
    await expect(f.look('acme', f.at('other/secret'))).rejects.toMatchObject(denied);
  });

  test('a repository around an allowed folder is not revealed', async () => {
    await using f = await twoTenants();
    await shell('git init -q -b main . && mkdir acme/plain', f.folder);
    await expect(f.look('acme', f.at('acme/plain'))).rejects.toMatchObject(denied);
  });
});

describe('a git directory that leads git elsewhere', () => {
  type At = (...parts: string[]) => string;
  const link = (at: At, part: string) => {
    rmSync(at('acme/shop/.git', part), { recursive: true, force: true });
    symlinkSync(at('other/secret/.git', part), at('acme/shop/.git', part));
  };
  const borrow = (at: At, line: string) => writeFileSync(at('acme/shop/.git/objects/info/alternates'), `${line}\n`);
  const include = (at: At, file: string, section: string) =>
    appendFileSync(at('acme/shop/.git', file), `[${section}]\n\tpath = ${at('other/secret/.git/config')}\n`);

  const ways: [string, RegExp, (at: At) => Promise<unknown> | void][] = [
    ...['objects', 'refs', 'packed-refs', 'HEAD', 'config', 'logs', 'index', 'worktrees'].map(
      (part): [string, RegExp, (at: At) => void] => [
        `a link for its ${part}`,
        new RegExp(`its ${part} is a symbolic link`),
        (at) => link(at, part),
      ],
    ),
    ['a link among its objects', /its objects\/pack is a symbolic link/, (at) => link(at, 'objects/pack')],
    ['a link among its refs', /its refs\/heads is a symbolic link/, (at) => link(at, 'refs/heads')],
    ['a link for a ref', /its refs\/heads\/main is a symbolic link/, (at) => link(at, 'refs/heads/main')],
    [
      'a link among its logs',
      /its logs\/refs\/heads\/main is a symbolic link/,
      (at) => link(at, 'logs/refs/heads/main'),
    ],
    ['objects that it borrows', /alternates leads out/, (at) => borrow(at, at('other/secret/.git/objects'))],
    ['by a relative path', /alternates leads out/, (at) => borrow(at, '../../../../other/secret/.git/objects')],
    ['from nowhere', /alternates leads out/, (at) => borrow(at, at('other/absent/.git/objects'))],
    ['behind quotes', /alternates leads out/, (at) => borrow(at, `"${at('other/secret/.git/objects')}"`)],
    [
      'from one of its own that borrows from there',
      /alternates leads out/,
      async (at) => {
        await shell(`git init -q between`, at('acme'));
        writeFileSync(at('acme/between/.git/objects/info/alternates'), `${at('other/secret/.git/objects')}\n`);
        borrow(at, at('acme/between/.git/objects'));
      },
    ],
    [
      'from one of its own that is linked to there',
      /alternates leads out/,
      (at) => {
        mkdirSync(at('acme/between'));
        symlinkSync(at('other/secret/.git/objects'), at('acme/between/objects'));
        borrow(at, at('acme/between/objects'));
      },
    ],
    ['a configuration that is included', /its config includes/, (at) => include(at, 'config', 'include')],
    ['one under a condition', /its config includes/, (at) => include(at, 'config', 'IncludeIf "gitdir:**"')],
    ['one of worktrees', /its config.worktree includes/, (at) => include(at, 'config.worktree', 'include')],
  ];
  test.each(ways)('is refused, at first and once it is known: %s', async (_what, reason, lead) => {
    for (const timesBefore of [0, 3]) {
      await using f = await twoTenants();
      const name = f.at('acme/shop');
      for (let times = 0; times < timesBefore; times++) await f.look('acme', name);
      await lead(f.at);
      await expect(f.look('acme', name)).rejects.toMatchObject({
        ...denied,
        message: expect.stringMatching(reason) as string,
      });
      await expect(f.look('acme', name)).rejects.not.toThrow(f.at('other'));
    }
  });

  test('is not read through a folder inside it either', async () => {
    await using f = await twoTenants();
    mkdirSync(f.at('acme/shop/inner'));
    include(f.at, 'config', 'include');
    writeFileSync(f.at('other/secret/.git/config'), 'a line that git can not read\n');
    await expect(f.look('acme', f.at('acme/shop'))).rejects.toMatchObject(denied);
    await expect(f.look('acme', f.at('acme/shop/inner'))).rejects.not.toThrow(/other/);
  });

  test('is refused before anything lands in it', async () => {
    await using f = await twoTenants();
    const repository = f.at('acme/shop');
    const acme = forTenant(f.context, 'acme');
    const input = { taskId, repository, baseBranch: 'main', slug: 'slug', setupKey: null };
    const { mounts } = await prepare(acme, { ...input, effectId: 'prepare' });
    write(mounts[0]?.source ?? '', 'planted.txt', 'by acme');
    const committed = await commit(acme, { taskId, runId, effectId: 'commit', message: message(), protect: [] });
    if (committed.status !== 'committed') throw new Error(committed.status);
    const tip = (await shell('git rev-parse main', repository)).trim();
    link(f.at, 'refs');
    link(f.at, 'objects');
    const landing = { effectId: 'land', taskId, repository, targetBranch: 'main' };
    const before = await shell('git for-each-ref', f.at('other/secret'));
    await expect(land(acme, { ...landing, expectedTip: tip, commit: committed.commit })).rejects.toMatchObject(denied);
    expect(await shell('git for-each-ref', f.at('other/secret'))).toBe(before);
  });

  test('is accepted if it leads only to allowed folders or to hooks, or if there is no list', async () => {
    await using f = await twoTenants();
    await shell('git clone -q --shared shop borrowing && ln -s ../../x borrowing/.git/hooks/pre-commit', f.at('acme'));
    expect(await f.look('acme', f.at('acme/borrowing'))).toMatchObject({ repository: f.at('acme/borrowing') });
    include(f.at, 'config', 'include');
    const unlimited = await openContext({ dataFolder: f.at('data'), node: 'node1' });
    const request = { repository: f.at('acme/shop'), baseBranch: 'main' };
    expect(await inspect(forTenant(unlimited, 'acme'), request)).toMatchObject({ repository: request.repository });
  });
});

test('a task whose repository is removed from the list fails at the next step that needs it, and its work is kept', async () => {
  await using f = await twoTenants();
  const repository = f.at('acme/shop');
  const { mounts } = await prepare(forTenant(f.context, 'acme'), {
    effectId: 'prepare',
    taskId,
    repository,
    baseBranch: 'main',
    slug: 'slug',
    setupKey: null,
  });
  write(mounts[0]?.source ?? '', 'new.txt', 'new');
  const emptied = await openContext({
    dataFolder: f.at('data'),
    node: 'node1',
    allowedRepositories: new AllowedRepositories({ acme: [] }),
  });
  const later = forTenant(emptied, 'acme');
  const committed = await commit(later, { taskId, runId, effectId: 'commit', message: message(), protect: [] });
  if (committed.status !== 'committed') throw new Error('nothing was committed');
  const merging = prepareMerge(later, {
    effectId: 'merge',
    taskId,
    runId,
    repository,
    targetBranch: 'main',
    taskCommit: committed.commit,
    method: 'merge',
    message: message(),
    protect: [],
    checkout: { when: 'never' },
    setup: null,
  });
  await expect(merging).rejects.toMatchObject(denied);
  const tip = committed.commit;
  const landing = { effectId: 'land', taskId, repository, targetBranch: 'main', expectedTip: tip, commit: tip };
  await expect(land(later, landing)).rejects.toMatchObject(denied);
  const removal = { runId, effectId: 'remove', repository, keepBranch: false, date };
  const { rescue } = await remove(later, { ...removal, taskId });
  const [store = '', ref = ''] = rescue?.split(' ') ?? [];
  expect(await shell(`git --git-dir '${store}' show '${ref}:new.txt'`, f.folder)).toBe('new');
  // The service has no data of this task, since the task was rejected.
  expect(await remove(later, { ...removal, taskId: 'another' })).toEqual({ rescue: null });
});

test('an allowed server can not redirect to another server', async () => {
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
    // Without lists of allowed repositories, git follows the redirect.
    await expect(look(null)).rejects.toMatchObject({ code: 'branch-not-found' });
    expect(secret.requests).not.toEqual([]);
  } finally {
    redirecting.closeAllConnections();
    redirecting.close();
  }
});
