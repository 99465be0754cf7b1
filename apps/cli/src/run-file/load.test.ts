import { mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CoppiceError } from '@coppice/contracts';
import { temporaryFolder } from '@coppice/testing';
import { expect, onTestFinished, test } from 'vitest';
import { loadRunFile } from './load.ts';

async function write(text: string): Promise<{ file: string; folder: string }> {
  const folder = await temporaryFolder('run-file');
  onTestFinished(folder.remove);
  const file = path.join(folder.path, 'plan.yaml');
  await writeFile(file, text);
  return { file, folder: folder.path };
}

const load = (file: string, elsewhere = false) => loadRunFile(file, { requestId: 'fixed', elsewhere });

async function complaint(text: string): Promise<string[]> {
  const { file, folder } = await write(text);
  const error = await load(file).then(
    () => new Error('it was accepted'),
    (thrown: unknown) => thrown as Error,
  );
  expect(error).toMatchObject({ name: 'CliError', exitCode: 2 });
  return error.message.replaceAll(`${folder}/`, '').split('\n');
}

const good = `repository: .
baseBranch: main
defaults:
  model: scripted/scripts/plan.yaml
tasks:
  - name: notes
    description: Write the notes
    prompt: Write them.
    agent: { kind: prompt, file: NOTES.md }
    verify: npm test
`;

test('paths are relative to the file', async () => {
  const { file, folder } = await write(good);
  const { request } = await load(file);
  expect(request).toMatchObject({
    requestId: 'fixed',
    repository: folder,
    concurrency: 4,
    defaults: { model: `scripted/${folder}/scripts/plan.yaml` },
  });
});

test('every load without a request id is a run of its own', async () => {
  const { file } = await write(good);
  const [one, two] = await Promise.all([0, 1].map(() => loadRunFile(file, { elsewhere: false })));
  expect(one?.request.requestId).not.toBe(two?.request.requestId);
});

test('if the file is a symbolic link, paths are relative to its target', async () => {
  const { file, folder } = await write(good);
  await mkdir(path.join(folder, 'elsewhere'));
  const link = path.join(folder, 'elsewhere', 'link.yaml');
  await symlink(file, link);
  expect((await load(link)).request.repository).toBe(folder);
});

test.each(['https://example.invalid/a.git', 'ssh://git@example.invalid/a', 'git@example.invalid:a/b.git'])(
  'the URL %s stays as it is',
  async (url) => {
    const { file } = await write(good.replace('repository: .', `repository: ${url}`));
    expect((await load(file)).request.repository).toBe(url);
  },
);

test('a folder that is not here is an error, unless the repositories are on another machine', async () => {
  const { file } = await write(good.replace('repository: .', 'repository: /no/such/folder'));
  await expect(load(file)).rejects.toThrow(
    'plan.yaml:1:1: repository: expected a folder that is there, or a URL, received /no/such/folder',
  );
  expect((await loadRunFile(file, { elsewhere: true })).request.repository).toBe('/no/such/folder');
});

test('each error names line, column, field, and the expected and received value, in the order of the file', async () => {
  expect(
    await complaint(`repository: .
baseBranch: main
taskz: 3
colour: red
defaults:
  model: Foo
  verify: 12
  limits: { time: 10y }
tasks:
  - name: Notes
    description: |
      two
      lines
    agent: { kind: magic }
    verfy: make test
    dependsOn: [one, two three]
`),
  ).toEqual([
    'plan.yaml:3:1: taskz: there is no such field (did you mean tasks?)',
    'plan.yaml:4:1: colour: there is no such field',
    'plan.yaml:6:3: defaults.model: expected provider/model, or an alias, received "Foo"',
    'plan.yaml:7:3: defaults.verify: expected a shell command, or false, received 12',
    'plan.yaml:8:13: defaults.limits.time: expected a duration such as 90s, 10m or 2h, received "10y"',
    expect.stringMatching(/^plan\.yaml:10:5: tasks\[0\]\.name: expected lower-case letters, .* received "Notes"$/),
    'plan.yaml:10:5: tasks[0].prompt: expected string, received nothing',
    'plan.yaml:11:5: tasks[0].description: expected one line without control characters, received "two\\nlines\\n"',
    expect.stringMatching(/^plan\.yaml:14:14: tasks\[0\]\.agent\.kind: expected .*prompt.*loop.*, received "magic"$/),
    'plan.yaml:15:5: tasks[0].verfy: there is no such field (did you mean verify?)',
    expect.stringMatching(/^plan\.yaml:16:22: tasks\[0\]\.dependsOn\[1\]: expected lower-case letters/),
  ]);
});

test.each([
  ['not YAML', 'a: [1\nb: 2', /^plan\.yaml:2:1: not YAML: /],
  ['a key twice', 'repository: .\nrepository: .', /^plan\.yaml:2:1: not YAML: Map keys must be unique/],
  ['nothing', '', /^plan\.yaml:1:1: the file: expected object, received null$/],
  ['a list', '- a', /^plan\.yaml:1:1: the file: expected object, received \["a"\]$/],
  ['a bomb of references', bomb(), /^plan\.yaml:1:1: not YAML: Excessive alias count/],
])('%s is rejected with its line and column', async (_what, text, expected) => {
  const [first] = await complaint(text);
  expect(first).toMatch(expected);
});

function bomb(): string {
  const levels = Array.from({ length: 8 }, (_, level) =>
    level === 0
      ? 'a0: &a0 [x, x, x, x, x, x, x, x]'
      : `a${level}: &a${level} [${Array(8)
          .fill(`*a${level - 1}`)
          .join(', ')}]`,
  );
  return levels.join('\n');
}

test('more tasks than a run may have are rejected, and the error names the limit', async () => {
  const task = '  - { name: a, description: b, prompt: c }\n';
  const [first] = await complaint(`repository: .\nbaseBranch: main\ntasks:\n${task.repeat(501)}`);
  expect(first).toMatch(/^plan\.yaml:3:1: tasks: .*500/);
});

test('more text than a message can contain is rejected, and the error names the limit', async () => {
  const task = (index: number) => `  - { name: a${index}, description: b, prompt: ${'x'.repeat(60_000)} }\n`;
  const [first] = await complaint(
    `repository: .\nbaseBranch: main\ntasks:\n${Array.from({ length: 20 }, (_, index) => task(index)).join('')}`,
  );
  expect(first).toMatch(/^plan\.yaml:3:1: tasks: expected at most 921600 bytes of tasks, received \d+$/);
});

test('a missing file and a folder are reported as such', async () => {
  const { folder } = await write(good);
  await expect(load(path.join(folder, 'no.yaml'))).rejects.toThrow('no.yaml: there is no such file');
  await expect(load(folder)).rejects.toThrow('it is a folder');
});

test('an error from the orchestrator also gets its place in the file', async () => {
  const { file, folder } = await write(good);
  const { explain } = await load(file);
  const issue = { field: 'tasks[0].name', expected: 'a name of its own', received: '"notes"' };
  const refusal = new CoppiceError('invalid-request', 'run.submit: …', { details: { issues: [issue] } });
  expect((explain(refusal) as Error).message.replace(folder, '')).toBe(
    '/plan.yaml:6:5: tasks[0].name: expected a name of its own, received "notes"',
  );
  const used = { field: 'requestId', expected: 'an id that names no other run', received: '"fixed"' };
  const repeated = new CoppiceError('already-exists', 'run.submit: …', { details: { issues: [used], runId: 'r1' } });
  expect((explain(repeated) as Error).message).toBe(
    '--request-id: expected an id that names no other run, received "fixed", the id of r1',
  );
  const other = new CoppiceError('unavailable', 'nobody serves this');
  expect(explain(other)).toBe(other);
});

test('for a remote stack, the error for a missing repository says where it was looked for', async () => {
  const { file, folder } = await write(good);
  const issue = {
    field: 'repository',
    expected: 'a git repository that can be read',
    received: JSON.stringify(folder),
  };
  const refusal = new CoppiceError('repository-not-found', 'x', { details: { issues: [issue] } });
  const messageFor = async (elsewhere: boolean) => ((await load(file, elsewhere)).explain(refusal) as Error).message;
  expect(await messageFor(true)).toMatch(
    /on the machine of the stack that NATS_URL names .*COPPICE_REPOSITORIES.*, received "/,
  );
  expect(await messageFor(false)).not.toContain('NATS_URL');
});
