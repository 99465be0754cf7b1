import { cpSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fixture, shell } from '../test-support/fixture.ts';
import { inspect } from './inspect.ts';

const look = (f: Awaited<ReturnType<typeof fixture>>) =>
  inspect(f.context, { repository: f.address, baseBranch: f.repository.branch });

test('a cached repository is inspected again when its configuration changes', async () => {
  await using f = await fixture();
  for (let times = 0; times < 3; times++) await look(f);
  await f.repository.git('config', 'remote.origin.promisor', 'true');
  await expect(look(f)).rejects.toMatchObject({ message: expect.stringMatching(/partial clone/) });
  await f.repository.git('config', '--unset', 'remote.origin.promisor');
  await look(f);
});

test('a repository whose configuration includes another file is inspected each time', async () => {
  await using f = await fixture();
  writeFileSync(join(f.repository.path, '.git/more'), '');
  await f.repository.git('config', 'include.path', 'more');
  for (let times = 0; times < 3; times++) await look(f);
  writeFileSync(join(f.repository.path, '.git/more'), '[remote "origin"]\n\tpromisor = true\n');
  await expect(look(f)).rejects.toMatchObject({ message: expect.stringMatching(/partial clone/) });
});

test('a repository that replaces a cached one is detected, and so is its removal', async () => {
  await using f = await fixture();
  for (let times = 0; times < 3; times++) await look(f);
  const path = f.repository.path;
  renameSync(join(path, '.git'), join(path, 'elsewhere'));
  await expect(look(f)).rejects.toMatchObject({ code: 'repository-not-found' });
  await shell(`git init -q --separate-git-dir=elsewhere .`, path);
  const { repositoryId } = await look(f);
  renameSync(join(path, 'elsewhere'), join(path, '.git2'));
  writeFileSync(join(path, '.git'), 'gitdir: .git2\n');
  expect((await look(f)).repositoryId).not.toBe(repositoryId);
});

test('a folder whose git directory is a link becomes another repository when the link changes', async () => {
  await using f = await fixture();
  const path = f.repository.path;
  const turn = (target: string) => {
    rmSync(join(path, 'current'), { force: true });
    symlinkSync(target, join(path, 'current'));
  };
  renameSync(join(path, '.git'), join(path, 'one'));
  cpSync(join(path, 'one'), join(path, 'two'), { recursive: true });
  turn('one');
  writeFileSync(join(path, '.git'), 'gitdir: current\n');
  for (let times = 0; times < 3; times++) await look(f);
  const { repositoryId } = await look(f);
  turn('two');
  expect((await look(f)).repositoryId).not.toBe(repositoryId);
});

test('a linked worktree that is changed to point at another repository belongs to that one', async () => {
  await using f = await fixture();
  const path = f.repository.path;
  await f.repository.git('worktree', 'add', '-q', 'linked', '-b', 'other');
  const lookAtLinked = () => inspect(f.context, { repository: join(path, 'linked'), baseBranch: f.repository.branch });
  for (let times = 0; times < 3; times++) await lookAtLinked();
  const { repositoryId } = await lookAtLinked();
  cpSync(join(path, '.git'), join(path, 'two'), { recursive: true });
  writeFileSync(join(path, '.git/worktrees/linked/commondir'), `${join(path, 'two')}\n`);
  expect((await lookAtLinked()).repositoryId).not.toBe(repositoryId);
});
