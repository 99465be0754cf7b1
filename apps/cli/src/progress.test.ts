import type { CoppiceEvent, TaskState } from '@coppice/contracts';
import { expect, test } from 'vitest';
import { progressFrom, waitsForPerson, withEvent, withView } from './progress.ts';
import { runViewOf, taskView } from './test-support/views.ts';

const task = taskView({ name: 'a', state: 'waiting' });
const start = progressFrom(runViewOf([task]));

const moved = (to: TaskState, second: number): CoppiceEvent => ({
  specversion: '1.0',
  id: `e${second}`,
  source: `/coppice/task/${task.taskId}`,
  type: 'coppice.task-state',
  time: `2026-01-01T00:00:0${second}.000Z`,
  datacontenttype: 'application/json',
  sequence: String(second),
  data: { runId: task.runId, taskId: task.taskId, name: 'a', from: null, to, reason: null },
});

test('events update a task; its clock runs from its first step to its end', () => {
  const worked = [moved('preparing', 1), moved('working', 2), moved('merged', 5)].reduce(withEvent, start);
  expect(worked.tasks[0]).toMatchObject({ state: 'merged' });
  expect((worked.tasks[0]?.endedAt ?? 0) - (worked.tasks[0]?.startedAt ?? 0)).toBe(4_000);
});

test('a view older than the events changes nothing; a view of an ended task ends it', () => {
  const working = withEvent(start, moved('working', 2));
  expect(withView(working, runViewOf([task])).tasks[0]?.state).toBe('working');
  const over = withView(working, runViewOf([{ ...task, state: 'failed', reason: 'no' }], { state: 'failed' }));
  expect(over.tasks[0]).toMatchObject({ state: 'failed', reason: 'no' });
  expect(over.state).toBe('failed');
});

test.each([
  [['ready'], true],
  [['awaiting-approval', 'waiting', 'merged'], true],
  [['ready', 'working'], false],
  [['waiting'], false],
  [['merged', 'failed'], false],
] as [TaskState[], boolean][])('a run with tasks in %j waits for the user: %s', (states, expected) => {
  expect(waitsForPerson(states.map((state) => ({ state })))).toBe(expected);
});

test('a working task shows its current turn; a turn reported after the work is ignored', () => {
  const turn: CoppiceEvent = {
    ...moved('working', 3),
    type: 'coppice.task-turn',
    data: {
      runId: task.runId,
      taskId: task.taskId,
      name: 'a',
      turn: 2,
      turnId: 'e2',
      text: 'I look.',
      calls: [
        { name: 'read', about: 'a.txt' },
        { name: 'todo', about: '' },
      ],
      usage: task.usage,
    },
  };
  const working = withEvent(withEvent(start, moved('working', 2)), turn);
  expect(working.tasks[0]?.doing).toBe('turn 2: read a.txt; todo');
  expect(withView(working, runViewOf([task])).tasks[0]?.doing).toBe('turn 2: read a.txt; todo');
  const silent = { ...turn, data: { ...turn.data, calls: [] } };
  expect(withEvent(working, silent).tasks[0]?.doing).toBe('turn 2: I look.');
  const committing = withEvent(working, moved('committing', 4));
  expect(committing.tasks[0]?.doing).toBeNull();
  expect(withEvent(committing, turn).tasks[0]?.doing).toBeNull();
});
