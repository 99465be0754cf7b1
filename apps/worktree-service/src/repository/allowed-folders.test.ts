import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
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

test('what is taken out of the list ends with its next step that needs it, and what was done is kept', async () => {
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
  // One that was refused before it had anything.
  expect(await remove(later, { ...removal, taskId: 'another' })).toEqual({ rescue: null });
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
