import { runRequestSchema } from '@coppice/contracts';
import type { CoppiceError } from '@coppice/contracts';
import { describe, expect, test } from 'vitest';
import { dependencyPositions, specify } from './specification.ts';

const task = (name: string, rest: object = {}) => ({ name, description: `Do ${name}`, prompt: 'p', ...rest });
const request = (tasks: object[], rest: object = {}) =>
  runRequestSchema.parse({
    requestId: 'q',
    repository: '/r',
    baseBranch: 'main',
    defaults: { model: 'scripted/x.yaml', agent: { kind: 'prompt', file: 'A.md' }, verify: 'npm test' },
    tasks,
    ...rest,
  });
const issuesOf = (tasks: object[], rest: object = {}): unknown => {
  try {
    specify(request(tasks, rest));
  } catch (error) {
    return (error as CoppiceError).details?.['issues'];
  }
  return [];
};

describe('defaults', () => {
  test("a task's own value wins over the run's, and the run's over Coppice's", () => {
    const [first, second] = specify(
      request(
        [
          task('a'),
          task('b', { verify: false, network: { agent: 'full' }, commit: { type: 'fix' }, limits: { time: '90s' } }),
        ],
        {
          defaults: {
            model: 'scripted/x.yaml',
            agent: { kind: 'prompt', file: 'A.md' },
            verify: 'sh check.sh',
            network: { setup: 'full' },
            commit: { scope: 'core' },
          },
        },
      ),
    );
    expect(first).toMatchObject({
      image: 'coppice/agent-runtime',
      network: { setup: 'full', agent: 'none', verify: 'none' },
      commit: { type: 'feat', scope: 'core' },
      timeLimitMs: 1_800_000,
      verify: 'sh check.sh',
      merge: 'auto',
      method: 'merge',
    });
    expect(second).toMatchObject({
      network: { setup: 'full', agent: 'full', verify: 'none' },
      commit: { type: 'fix', scope: 'core' },
      timeLimitMs: 90_000,
      verify: false,
    });
  });

  test('files that decide the verification are protected: CI configuration, and those that the verify command names', () => {
    const [specification] = specify(request([task('a')]));
    expect(specification?.protect).toContain('.github/**');
    expect(specification?.protect).toContain('package.json');
  });

  test("the run file's own entries are added; an entry with ! removes one glob, or all", () => {
    const protectOf = (...protect: string[]) => specify(request([task('a', { protect })]))[0]?.protect ?? [];
    expect(protectOf('docs/**')).toEqual(expect.arrayContaining(['docs/**', '.github/**', 'package.json']));
    expect(protectOf('!package.json')).not.toContain('package.json');
    expect(protectOf('!package.json')).toContain('.github/**');
    expect(protectOf('!**', 'docs/**')).toEqual(['docs/**']);
  });

  test('a setup that runs again on the changed tree is protected, too', () => {
    const protectOf = (inputs: string[]) =>
      specify(request([task('a', { setup: { run: 'sh install.sh', inputs } })]))[0]?.protect;
    expect(protectOf(['lock.txt'])).toContain('install.sh');
    expect(protectOf([])).not.toContain('install.sh');
  });

  test('parts that no protected file defines are reported for the task', () => {
    const unprotectedOf = (verify: string | false, protect: string[] = []) =>
      specify(request([task('a', { verify, protect })]))[0]?.unprotected?.map(({ part }) => part);
    expect(unprotectedOf('npm test; unknown-program')).toEqual(['unknown-program', 'npm test']);
    expect(unprotectedOf('npm test; unknown-program', ['scripts/**'])).toEqual(['unknown-program']);
    expect(unprotectedOf('pytest')).toEqual([]);
    expect(unprotectedOf(false)).toEqual([]);
  });
});

describe('rejections name the field, the expected value and the received one', () => {
  test('a field that is missing both in the task and in defaults', () => {
    expect(issuesOf([task('a')], { defaults: {} })).toEqual([
      { field: 'tasks[0].model', expected: 'provider/model, here or in defaults', received: 'nothing' },
      expect.objectContaining({ field: 'tasks[0].agent' }),
      expect.objectContaining({ field: 'tasks[0].verify' }),
    ]);
  });

  test('two tasks with the same name', () => {
    expect(issuesOf([task('a'), task('a')])).toEqual([
      { field: 'tasks[1].name', expected: 'a name of its own (tasks[0] has it already)', received: '"a"' },
    ]);
  });

  test('a dependency on an unknown task', () => {
    expect(issuesOf([task('a', { dependsOn: ['b'] })])).toEqual([
      { field: 'tasks[0].dependsOn[0]', expected: 'the name of a task of this run', received: '"b"' },
    ]);
  });

  test('circular dependencies, also of a task on itself', () => {
    expect(
      issuesOf([task('a', { dependsOn: ['c'] }), task('b', { dependsOn: ['a'] }), task('c', { dependsOn: ['b'] })]),
    ).toEqual([{ field: 'tasks[0].dependsOn', expected: 'no circle', received: 'a → c → b → a' }]);
    expect(issuesOf([task('a', { dependsOn: ['a'] })])).toMatchObject([{ received: 'a → a' }]);
  });

  test("a chain as long as the largest run isn't a circle", () => {
    const tasks = Array.from({ length: 500 }, (_, index) =>
      task(`t${index}`, index === 0 ? {} : { dependsOn: [`t${index - 1}`] }),
    );
    expect(issuesOf(tasks)).toEqual([]);
    expect(dependencyPositions(specify(request(tasks)))[499]).toEqual([498]);
  });
});
