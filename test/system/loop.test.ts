import { execFile } from 'node:child_process';
import { glob } from 'node:fs/promises';
import { promisify } from 'node:util';
import {
  agentSchema,
  buckets,
  modelMessageSchema,
  streams,
  subjects,
  toolLimits,
  transcriptEntrySchema,
} from '@coppice/contracts';
import type { ContentPart, TaskView } from '@coppice/contracts';
import { replay } from '@coppice/orchestrator';
import type { RecordedTurn } from '@coppice/orchestrator';
import { eventually, temporaryRepository } from '@coppice/testing';
import type { TemporaryRepository } from '@coppice/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { whyWithout } from '../support/engines.ts';
import { Stack } from '../support/stack.ts';

/** Tests the built-in coding agent. The scripted model plays good and bad turns, as real models produce them. */

const script = `
rules:
  # Matches after a compaction, which starts a new conversation.
  - when: { contains: the-file-must-say-compacted }
    turns:
      - toolCalls:
          - { name: write, arguments: { path: two.txt, content: "compacted\\n" } }
          - { name: finish, arguments: { summary: Done after a summary. } }
  - when: { contains: fix-the-sum }
    turns:
      - text: I look around first.
        toolCalls:
          - { name: list, arguments: {} }
          - { name: read, arguments: { path: src/sum.mjs } }
          - { name: search, arguments: { pattern: "sum\\\\(" } }
      - toolCalls:
          - { name: todo, arguments: { items: [{ text: find the bug, done: true }, { text: fix it, done: false }] } }
          - { name: run, arguments: { command: node check.mjs } }
      - toolCalls: [{ name: edit, arguments: { path: src/sum.mjs, oldText: "let total = 2;", newText: "let total = 0;" } }]
      - toolCalls: [{ name: edit, arguments: { path: src/sum.mjs, oldText: "let total = 1;", newText: "let total = 0;" } }]
      - toolCalls:
          - { name: run, arguments: { command: node check.mjs } }
          - { name: finish, arguments: { summary: "The sum began at 1.\\n\\nIt begins at 0 now." } }
  - when: { contains: be-a-bad-model }
    turns:
      - toolCalls: [{ name: run, arguments: '{"command": "ls' }]
      - toolCalls: [{ name: erase, arguments: { path: / } }, { name: read, arguments: { file: x } }]
      - text: I think it is done.
      - text: ""
      - toolCalls: [{ name: run, arguments: { command: "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); echo line $i; done" } }]
      - toolCalls:
          - { name: write, arguments: { path: two.txt, content: "same\\nsame\\n" } }
          - { name: edit, arguments: { path: two.txt, oldText: same, newText: other } }
          - { name: finish, arguments: { summary: too early } }
      - toolCalls: [{ name: finish, arguments: { summary: Good enough. } }]
  - when: { contains: go-in-circles }
    turns: [${Array.from({ length: 9 }, () => '{ toolCalls: [{ name: run, arguments: { command: cat missing.txt } }] }').join(', ')}]
  - when: { contains: say-nothing }
    turns: [{ text: "" }, { text: " " }, { text: "" }]
  - when: { contains: only-words }
    turns:
      - toolCalls: [{ name: write, arguments: { path: two.txt, content: "words\\n" } }]
      - { text: It is done. }
      - { text: It is done indeed. }
      - { text: I wrote the file. }
  - when: { contains: use-all-turns }
    turns:
      - toolCalls: [{ name: write, arguments: { path: two.txt, content: "half\\n" } }]
      - toolCalls: [{ name: run, arguments: { command: "true" } }]
  - when: { contains: fill-the-context }
    turns:
      - toolCalls: [{ name: read, arguments: { path: src/sum.mjs } }]
        usage: { inputTokens: 9500, outputTokens: 10 }
      - text: the-file-must-say-compacted
  - when: { contains: think-slowly }
    turns:
      - toolCalls: [{ name: run, arguments: { command: echo once >> two.txt } }]
      - toolCalls: [{ name: read, arguments: { path: two.txt } }]
        latencyMs: 3000
      - toolCalls: [{ name: finish, arguments: { summary: Thought about it. } }]
  - when: { contains: work-slowly }
    turns:
      - toolCalls: [{ name: write, arguments: { path: two.txt, content: "begun\\n" } }]
      - toolCalls: [{ name: run, arguments: { command: "echo working >> two.txt; sleep 60; echo late >> two.txt" } }]
      - toolCalls: [{ name: run, arguments: { command: cat two.txt } }]
      - toolCalls: [{ name: finish, arguments: { summary: Looked again. } }]
  - when: { contains: work-endlessly }
    turns:
      - toolCalls: [{ name: run, arguments: { command: "echo begun > two.txt; while :; do date +%N > $HOME/beat; sleep 0.1; done" } }]
      - toolCalls: [{ name: run, arguments: { command: "cp $HOME/beat $HOME/seen && sleep 1 && cmp $HOME/seen $HOME/beat && echo still" } }]
      - toolCalls: [{ name: finish, arguments: { summary: Looked again. } }]
`;

const files = {
  'README.md': '# Sums\n',
  'AGENTS.md': 'Always be kind to numbers.\n',
  'src/sum.mjs':
    'export function sum(numbers) {\n  let total = 1;\n  for (const number of numbers) total += number;\n  return total;\n}\n',
  'check.mjs':
    "import { sum } from './src/sum.mjs';\nif (sum([1, 2]) !== 3) {\n  console.error('sum([1, 2]) is', sum([1, 2]));\n  process.exit(1);\n}\n",
};

const recoveryMsMax = 120_000;
const runFile = promisify(execFile);

for (const engine of ['bubblewrap', 'docker'] as const) {
  const absent = await whyWithout(engine);
  describe.skipIf(absent !== null)(
    `the loop agent on ${engine}${absent === null ? '' : ` (skipped: ${absent})`}`,
    () => {
      let stack: Stack;
      beforeAll(async () => {
        stack = await Stack.start({ engine, script });
      }, 180_000);
      afterAll(() => stack?.stop());

      const submit = async (repository: TemporaryRepository, prompt: string, rest: object = {}) => {
        const { runId, tasks } = await stack.submit({
          repository: repository.path,
          baseBranch: 'main',
          defaults: { model: stack.model },
          tasks: [
            {
              name: 'one',
              description: 'Do it well',
              prompt,
              agent: { kind: 'loop' },
              verify: 'test -f two.txt',
              protect: [],
              ...rest,
            },
          ],
        });
        return { runId, taskId: tasks[0]?.taskId ?? '' };
      };
      const ended = async (runId: string, taskId: string): Promise<TaskView> => {
        await stack.ended(runId, recoveryMsMax);
        return stack.task(taskId);
      };
      const textOf = async (reference: { text: string } | { artifact: string }): Promise<string> => {
        if ('text' in reference) return reference.text;
        const store = await stack.bus.objects(buckets.artifacts);
        return new TextDecoder().decode((await store.get(reference.artifact)) ?? undefined);
      };
      const transcript = async (taskId: string): Promise<RecordedTurn[]> => {
        const turns: RecordedTurn[] = [];
        for await (const message of stack.bus.read(streams.transcripts, subjects.transcript('default', taskId))) {
          const { effectId, continues, request, output } = transcriptEntrySchema.parse(message.json());
          const messages = z.array(modelMessageSchema).parse(JSON.parse(await textOf(request)));
          turns.push({ turnId: effectId, continues, messages, output });
        }
        return turns;
      };
      /** Returns the tool results that the model received, as `name: text`. */
      const toolResults = async (turns: RecordedTurn[]): Promise<string[]> => {
        const parts = turns.flatMap(({ messages }) => messages).flatMap(({ content }) => content);
        const results = parts.filter(
          (part): part is Extract<ContentPart, { type: 'tool-result' }> => part.type === 'tool-result',
        );
        return Promise.all(results.map(async ({ name, content }) => `${name}: ${await textOf(content)}`));
      };
      /** Checks that an offline replay of the recorded turns makes the same decisions as the agent. */
      const expectReplays = (task: TaskView, turns: RecordedTurn[]) => {
        const agent = agentSchema.parse(task.agent);
        if (agent.kind !== 'loop') throw new Error('not a loop');
        const again = replay(agent, turns);
        expect(again.difference).toBeNull();
        return again;
      };

      test('a failing test is found, fixed, checked and landed', async () => {
        await using repository = await temporaryRepository({ files });
        const { runId, taskId } = await submit(repository, 'fix-the-sum', { verify: 'node check.mjs' });
        const task = await ended(runId, taskId);
        expect(task).toMatchObject({ state: 'merged', modelTurns: 5, filesChanged: 1 });
        expect(await repository.show('src/sum.mjs')).toContain('let total = 0;');
        const body = await repository.git('log', '--no-merges', '-1', '--format=%B');
        expect(body).toMatch(/^feat: Do it well\n\nThe sum began at 1\.\n\nIt begins at 0 now\.\n\nCoppice-Task/);

        const turns = await transcript(taskId);
        expect(turns.map(({ continues }) => continues)).toEqual([
          null,
          ...turns.slice(0, -1).map(({ turnId }) => turnId),
        ]);
        expect(JSON.stringify(turns[0]?.messages)).toMatch(/from AGENTS\.md.*Always be kind to numbers/);
        const results = await toolResults(turns);
        expect(results.map((each) => each.split(':')[0])).toEqual([
          'list',
          'read',
          'search',
          'todo',
          'run',
          'edit',
          'edit',
        ]);
        expect(results[0]).toMatch(/AGENTS\.md\nREADME\.md\ncheck\.mjs\nsrc\/\nsrc\/sum\.mjs/);
        expect(results[4]).toMatch(/exit code 1 after .*sum\(\[1, 2\]\) is 4/s);
        expect(results[5]).toMatch(/unchanged: oldText is not there; the nearest is at line 2:\n {2}let total = 1;/);
        expect(expectReplays(task, turns)).toMatchObject({ turns: 5, end: { do: 'call', finish: { place: 1 } } });

        const events = (await stack.events(runId)).filter((event) => event.type === 'coppice.task-turn');
        expect(
          events.map(({ data }) => data.calls.map(({ name, about }) => `${name} ${about}`.trim()).join(', ')),
        ).toEqual([
          'list, read src/sum.mjs, search sum\\(',
          'todo, run node check.mjs',
          'edit src/sum.mjs',
          'edit src/sum.mjs',
          'run node check.mjs, finish The sum began at 1. It begins at 0 now.',
        ]);
      }, 180_000);

      test('a model gets the reason for each of its mistakes', async () => {
        await using repository = await temporaryRepository({ files });
        const { runId, taskId } = await submit(repository, 'be-a-bad-model');
        const task = await ended(runId, taskId);
        expect(task).toMatchObject({ state: 'merged', modelTurns: 7, summary: 'Good enough.' });
        const turns = await transcript(taskId);
        const results = await toolResults(turns);
        expect(results[0]).toMatch(/^run: the arguments of run is not JSON/);
        expect(results[1]).toMatch(/^erase: there is no tool "erase"/);
        expect(results[2]).toMatch(/^read: the arguments of read: path: expected string, received nothing/);
        expect(results[3]).toMatch(/^run: exit code 0.*\nline 1\n.* bytes left out .*\nline 50000\n/s);
        expect(results[3]?.length).toBeLessThan(toolLimits.resultCharactersMax + 10);
        expect(results.slice(4)).toEqual([
          'write: two.txt made: 10 bytes',
          expect.stringMatching(/unchanged: oldText is there 2 times, at lines 1, 2/),
          expect.stringMatching(/^finish: not ended/),
        ]);
        const said = JSON.stringify(turns.map(({ messages }) => messages));
        expect(said).toContain('You called no tool');
        expect(said).toContain('Your answer was empty');
        expectReplays(task, turns);
      }, 180_000);

      test('a repeated call ends the task, and the reason names the call', async () => {
        await using repository = await temporaryRepository({ files });
        const { runId, taskId } = await submit(repository, 'go-in-circles');
        const task = await ended(runId, taskId);
        expect(task).toMatchObject({
          state: 'failed',
          reason: 'the agent made the same call 5 times in a row: run cat missing.txt',
          modelTurns: 5,
        });
        const notices = (await transcript(taskId)).map(({ messages }) =>
          JSON.stringify(messages).includes('Try something else'),
        );
        expect(notices).toEqual([false, false, false, true, false]);
      }, 180_000);

      test('a model that says nothing fails the task; texts without a call after some work end the task normally', async () => {
        await using repository = await temporaryRepository({ files });
        const silent = await submit(repository, 'say-nothing');
        const words = await submit(repository, 'only-words');
        expect(await ended(silent.runId, silent.taskId)).toMatchObject({
          state: 'failed',
          reason: 'the model gave 3 answers in a row without calling a tool, the last one empty',
        });
        expect(await ended(words.runId, words.taskId)).toMatchObject({ state: 'merged', summary: 'I wrote the file.' });
      }, 180_000);

      test('a task without turns left fails, and its files are kept', async () => {
        await using repository = await temporaryRepository({ files });
        const { runId, taskId } = await submit(repository, 'use-all-turns', { agent: { kind: 'loop', turns: 2 } });
        const task = await ended(runId, taskId);
        expect(task).toMatchObject({
          state: 'failed',
          reason: 'the agent took 2 turns, the most it may, without finishing',
        });
        expect(await toolResults(await transcript(taskId))).toEqual(['write: two.txt made: 5 bytes']);
        const [store = '', ref = ''] = task.rescue?.split(' ') ?? [];
        expect((await runFile('git', ['--git-dir', store, 'show', `${ref}:two.txt`])).stdout).toBe('half\n');
      }, 180_000);

      test('a conversation near its limit is summarised and continues', async () => {
        await using repository = await temporaryRepository({ files });
        const { runId, taskId } = await submit(repository, 'fill-the-context', {
          agent: { kind: 'loop', contextTokens: 10_000 },
        });
        const task = await ended(runId, taskId);
        expect(task).toMatchObject({ state: 'merged', modelTurns: 3 });
        const turns = await transcript(taskId);
        expect(turns.map(({ continues }) => continues === null)).toEqual([true, false, true]);
        expect(JSON.stringify(turns[2]?.messages)).toMatch(
          /fill-the-context.*the-file-must-say-compacted.*read src\/sum\.mjs → ok/,
        );
        expectReplays(task, turns);
        expect(await repository.show('two.txt')).toBe('compacted\n');
      }, 180_000);

      test('a cancellation ends the running command, and the written files are kept', async () => {
        await using repository = await temporaryRepository({ files });
        const { runId, taskId } = await submit(repository, 'work-slowly');
        await turnReported(runId, 2);
        // The checkpoint with the first turn's file must be stored while the second turn runs.
        const saved = await eventually(() => showSaved(taskId, 'two.txt'), { timeoutMs: 20_000 });
        expect(saved).toMatch(/^begun\n/);
        await stack.command('taskCancel', { taskId });
        const task = await ended(runId, taskId);
        expect(task).toMatchObject({ state: 'cancelled' });
        const [store = '', ref = ''] = task.rescue?.split(' ') ?? [];
        expect((await runFile('git', ['--git-dir', store, 'show', `${ref}:two.txt`])).stdout).not.toContain('late');
      }, 180_000);

      const isInWorktree = async (taskId: string, path: string): Promise<boolean> => {
        for await (const _ of glob(`${stack.dataFolder}/worktree-service/worktrees/${taskId}/**/${path}`)) return true;
        return false;
      };

      /** Returns a file of a task's checkpoint. */
      const showSaved = async (taskId: string, path: string): Promise<string | undefined> => {
        for await (const store of glob(`${stack.dataFolder}/worktree-service/repositories/*/tasks.git`)) {
          const shown = runFile('git', ['--git-dir', store, 'show', `refs/coppice/checkpoint/${taskId}:${path}`]);
          const text = await shown.then(
            ({ stdout }) => stdout,
            () => undefined,
          );
          if (text !== undefined) return text;
        }
        return undefined;
      };

      const turnReported = (runId: string, turn: number) =>
        eventually(
          async () =>
            (await stack.events(runId)).some((event) => event.type === 'coppice.task-turn' && event.data.turn === turn),
          { timeoutMs: 60_000 },
        );

      test('the gateway is killed during a model call: the call is repeated and counted as unknown, and no command runs twice', async () => {
        await using repository = await temporaryRepository({ files });
        const { runId, taskId } = await submit(repository, 'think-slowly');
        await eventually(
          async () =>
            (await stack.modelCalls()).filter((line) => line.taskId === taskId && line.event === 'requested').length ===
            2,
          { timeoutMs: 60_000 },
        );
        await stack.killAndRestart('llm-gateway');
        const task = await ended(runId, taskId);
        expect(task).toMatchObject({ state: 'merged', modelTurns: 3, modelTurnsUnknown: 1 });
        expect(await repository.show('two.txt')).toBe('once\n');
        expectReplays(task, await transcript(taskId));
      }, 240_000);

      test('container-service is killed during a tool call: the model gets a result which says that the outcome is unknown', async () => {
        await using repository = await temporaryRepository({ files });
        const { runId, taskId } = await submit(repository, 'work-endlessly');
        await turnReported(runId, 1);
        await eventually(() => isInWorktree(taskId, 'two.txt'), { timeoutMs: 60_000 });
        await stack.killAndRestart('container-service');
        const task = await ended(runId, taskId);
        expect(task).toMatchObject({ state: 'merged', modelTurns: 3 });
        const turns = await transcript(taskId);
        const [first, second] = await toolResults(turns);
        expect(first).toMatch(/^run: it is not known whether this was done/);
        // The agent continues only after the command that the killed service had started has ended.
        expect(second).toMatch(/still/);
        expect(await repository.show('two.txt')).toBe('begun\n');
        expectReplays(task, turns);
      }, 240_000);

      test('the orchestrator is killed between turns: the agent continues where it was', async () => {
        await using repository = await temporaryRepository({ files });
        const { runId, taskId } = await submit(repository, 'think-slowly');
        await turnReported(runId, 1);
        await stack.killAndRestart('orchestrator');
        const task = await ended(runId, taskId);
        expect(task).toMatchObject({ state: 'merged', modelTurns: 3, modelTurnsUnknown: 0 });
        expect((await stack.modelCalls()).filter((line) => line.taskId === taskId)).toHaveLength(6);
        expect(await repository.show('two.txt')).toBe('once\n');
        expectReplays(task, await transcript(taskId));
      }, 240_000);
    },
  );
}
