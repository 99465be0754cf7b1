import { slug } from '@coppice/contracts';
import { temporaryFolder, temporaryRepository } from '@coppice/testing';
import { expect, test } from 'vitest';
import { descriptionOf, loadPrompt } from './from-prompt.ts';

const options = { elsewhere: false };

test.each([
  ['Fix the crash.', 'Fix the crash', 'fix-the-crash'],
  ['\n## Add naïve Bayes:\n\ndetails', 'Add naïve Bayes', 'add-naive-bayes'],
  ['a\u001B[31mred\u001B[0m\tthing', 'ared thing', 'ared-thing'],
  ['日本語で', '日本語で', 'task'],
  ['word '.repeat(40), `${'word '.repeat(14)}…`, 'word-word-word-word-word-word-word-word'],
  [`${'x'.repeat(71)}😀 and more`, `${'x'.repeat(71)}…`, 'x'.repeat(40)],
])('the description and name of a task are made from its prompt: %j', (prompt, description, name) => {
  expect(descriptionOf(prompt)).toBe(description);
  expect(slug(description, 40)).toBe(name);
});

test('a prompt without other options becomes a loop task on the current branch', async () => {
  await using repository = await temporaryRepository({ files: { 'a/b.txt': 'x' } });
  await repository.git('checkout', '--quiet', '-b', 'topic/one');
  const prompt = { prompt: 'Do it', model: 'scripted/script.yaml', verify: 'make test' };
  const { request } = await loadPrompt(prompt, `${repository.path}/a`, options);
  expect(request).toMatchObject({
    repository: repository.path,
    baseBranch: 'topic/one',
    tasks: [
      {
        name: 'do-it',
        description: 'Do it',
        prompt: 'Do it',
        // The option's path is relative to the current folder.
        model: `scripted/${repository.path}/a/script.yaml`,
        verify: 'make test',
        agent: { kind: 'loop' },
      },
    ],
  });
  await expect(loadPrompt({ ...prompt, file: '../x.yml' }, repository.path, options)).rejects.toThrow(/^--write: /);
  await repository.git('checkout', '--quiet', '--detach');
  await expect(loadPrompt(prompt, repository.path, options)).rejects.toThrow('--base: no branch is checked out');
  const based = await loadPrompt({ ...prompt, base: 'main', verify: false, file: 'b.md' }, repository.path, options);
  expect(based.request).toMatchObject({
    baseBranch: 'main',
    tasks: [{ verify: false, agent: { kind: 'prompt', file: 'b.md' } }],
  });
});

test('a bare repository is accepted; a folder outside a repository is rejected', async () => {
  await using bare = await temporaryRepository({ bare: true });
  const prompt = { prompt: 'Do it', model: 'a/b', verify: false } as const;
  expect((await loadPrompt(prompt, bare.path, options)).request).toMatchObject({
    repository: bare.path,
    baseBranch: 'main',
  });
  await using folder = await temporaryFolder('nowhere');
  await expect(loadPrompt(prompt, folder.path, options)).rejects.toThrow('is not in a git repository');
});
