import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { DemoModel } from './model.ts';
import { runFile } from './plan.ts';
import { repositoryFiles } from './project.ts';
import { script } from './script.ts';

export type DemoProject = { repository: string; runFile: string; firstCommit: string };

/** Environment for git without the user's configuration, such as signing and hooks. */
const gitEnvironment = (): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_'))),
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
});

export function git(repository: string, ...gitArguments: string[]): string {
  return execFileSync('git', gitArguments, { cwd: repository, env: gitEnvironment(), encoding: 'utf8' }).trimEnd();
}

export function makeProject(folder: string, model: DemoModel): DemoProject {
  const repository = path.join(folder, 'repository');
  for (const [name, text] of Object.entries(repositoryFiles)) write(path.join(repository, name), text);
  write(path.join(folder, 'plan.yaml'), runFile(model));
  if (model.isScripted) write(path.join(folder, 'script.yaml'), script);
  git(repository, 'init', '--quiet', '--initial-branch=main');
  git(repository, 'add', '--all');
  const author = ['-c', 'user.name=Coppice demo', '-c', 'user.email=demo@example.invalid'];
  git(
    repository,
    ...author,
    'commit',
    '--quiet',
    '--message',
    'chore: two functions, one with a bug, and tests for what is missing',
  );
  return { repository, runFile: path.join(folder, 'plan.yaml'), firstCommit: git(repository, 'rev-parse', 'HEAD') };
}

function write(file: string, text: string): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
}
