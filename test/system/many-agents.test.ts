import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { isolatedGitEnvironment, temporaryFolder } from '@coppice/testing';
import { expect, test } from 'vitest';
import { whyWithout } from '../support/engines.ts';
import { baseCheck, checkOf, checkText, manyChanges } from '../support/many-changes.ts';
import type { Change } from '../support/many-changes.ts';
import { Stack } from '../support/stack.ts';

/**
 * Tests twenty agents at the same time on a clone of this repository. Six agents share three files, and two agents
 * change the same line. Nineteen changes land, and after each landing the branch passes the checks.
 */
const runFile = promisify(execFile);
const repositoryRoot = path.resolve(import.meta.dirname, '../..');
const verify = "node --test --test-isolation=none 'checks/*.test.ts'";
const all = [...manyChanges.apart, ...manyChanges.sideBySide, ...manyChanges.rivals];
const runMsMax = 600_000;

/** If the change has a slip, the agent makes that mistake first, and then corrects it. */
function turnsOf(change: Change): object[] {
  const { file, oldText, newText, slip, name } = change;
  const written = slip === undefined ? newText : newText.replace(slip.right, slip.wrong);
  const call = (tool: string, values: object) => ({ name: tool, arguments: values });
  const done = call('finish', { summary: `${name} is there, with its check.` });
  const tryAll = call('run', { command: verify });
  return [
    {
      text: 'I look at the code first.',
      toolCalls: [
        call('list', { path: path.dirname(file) }),
        call('read', { path: file }),
        call('search', { pattern: 'node:test', path: 'checks' }),
      ],
    },
    {
      toolCalls: [
        call('edit', { path: file, oldText, newText: written }),
        call('write', { path: checkOf(change), content: checkText(change) }),
        call('run', { command: `node --test --test-isolation=none ${checkOf(change)}` }),
      ],
    },
    ...(slip === undefined
      ? [
          {
            toolCalls: [
              call('todo', { items: [{ text: 'try everything together', done: false }] }),
              call('run', { command: 'git diff' }),
            ],
          },
        ]
      : [
          {
            text: 'My own check fails: I made a slip.',
            toolCalls: [call('edit', { path: file, oldText: slip.wrong, newText: slip.right })],
          },
        ]),
    { toolCalls: [tryAll, done] },
  ];
}

const script = JSON.stringify({
  rules: all.map((change) => ({ when: { contains: `make the change ${change.name}.` }, turns: turnsOf(change) })),
});

/** Clones this repository without its uncommitted changes, and adds the checks in another commit. */
async function cloned(folder: string) {
  const work = path.join(folder, 'work');
  const env = isolatedGitEnvironment(folder);
  const git = async (cwd: string, ...words: string[]) =>
    (await runFile('git', ['-c', 'safe.directory=*', ...words], { cwd, env, maxBuffer: 64 * 1024 ** 2 })).stdout.trim();
  const write = async (root: string, name: string, text: string) => {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), text);
  };
  await git(folder, 'clone', '--quiet', '--no-hardlinks', repositoryRoot, work);
  await git(work, 'checkout', '--quiet', '-B', 'main');
  await write(work, baseCheck.path, baseCheck.text);
  await git(work, 'add', '--all');
  await git(work, 'commit', '--quiet', '--message', 'test: checks that need no package');
  return { work, git, write };
}

async function apply(change: Change, root: string): Promise<string> {
  const text = await readFile(path.join(root, change.file), 'utf8');
  if (text.split(change.oldText).length !== 2)
    throw new Error(`${change.name}: ${change.file} doesn't contain exactly once: ${change.oldText}`);
  return text.replace(change.oldText, () => change.newText);
}

// The engine doesn't affect what lands, and bubblewrap is the cheapest.
const engine = 'bubblewrap';
const absent = await whyWithout(engine);
test.skipIf(absent !== null)(
  `twenty agents at once on ${engine}${absent === null ? '' : ` (skipped: ${absent})`}`,
  { timeout: runMsMax + 120_000 },
  async () => {
    await using folder = await temporaryFolder('many');
    const { work, git, write } = await cloned(folder.path);
    const base = await git(work, 'rev-parse', 'HEAD');
    await using stack = await Stack.start({ engine, script, environment: { COPPICE_LOST_AFTER_MS: '15000' } });
    const { runId } = await stack.submit({
      repository: work,
      baseBranch: 'main',
      concurrency: all.length,
      defaults: { model: stack.model, verify, agent: { kind: 'loop' }, protect: ['!**'] },
      tasks: all.map((change) => ({
        name: change.name,
        description: `Make the change ${change.name}`,
        prompt: `In ${change.file}, make the change ${change.name}. Check it in ${checkOf(change)}.`,
      })),
    });
    await stack.ended(runId, runMsMax);

    const tasks = await stack.tasks(runId);
    const losers = manyChanges.rivals.filter(({ name }) => tasks.get(name)?.state !== 'merged');
    expect(losers).toHaveLength(1);
    const winners = all.filter((change) => !losers.includes(change));
    const ends = [...tasks].map(([name, { state, reason, modelTurns, modelTurnsUnknown }]) => [
      name,
      { state, reason, modelTurns, modelTurnsUnknown },
    ]);
    const expected = (change: Change) =>
      losers.includes(change)
        ? { state: 'failed', reason: `conflicts with main in ${change.file}` }
        : { state: 'merged', reason: null };
    expect(Object.fromEntries(ends)).toEqual(
      Object.fromEntries(
        all.map((change) => [change.name, { ...expected(change), modelTurns: 4, modelTurnsUnknown: 0 }]),
      ),
    );

    // The checked-out branch must be the base with the nineteen changes and nothing else.
    expect(await git(work, 'status', '--porcelain')).toBe('');
    const fresh = path.join(folder.path, 'fresh');
    await git(folder.path, 'clone', '--quiet', '--no-hardlinks', work, fresh);
    await git(fresh, 'checkout', '--quiet', '--detach', base);
    for (const change of winners) {
      await write(fresh, change.file, await apply(change, fresh));
      await write(fresh, checkOf(change), checkText(change));
    }
    await git(fresh, 'add', '--all');
    expect(await git(work, 'rev-parse', 'main^{tree}')).toBe(await git(fresh, 'write-tree'));
    // Each change must have landed once.
    const commits = await git(
      work,
      'log',
      '--no-merges',
      '--format=%(trailers:key=Coppice-Task,valueonly)',
      `${base}..main`,
    );
    const landed = winners.map(({ name }) => tasks.get(name)?.taskId ?? '');
    expect(new Set(commits.split('\n').filter(Boolean))).toEqual(new Set(landed));
    expect(await git(work, 'rev-list', '--count', '--no-merges', `${base}..main`)).toBe(String(winners.length));
    const merges = (await git(work, 'rev-list', '--first-parent', '--reverse', `${base}..main`)).split('\n');
    expect(merges).toHaveLength(winners.length);
    for (const [index, merge] of merges.entries()) {
      await git(fresh, 'checkout', '--quiet', '--force', merge);
      await git(fresh, 'clean', '--quiet', '-xdff');
      const { stdout } = await runFile('sh', ['-c', `PATH='${path.dirname(process.execPath)}':$PATH ${verify}`], {
        cwd: fresh,
      });
      // Three base checks, and one check per change up to this commit.
      expect(stdout).toMatch(new RegExp(`^ℹ pass ${3 + index + 1}$`, 'm'));
    }
  },
);
