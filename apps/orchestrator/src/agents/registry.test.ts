import { agentKindNames, agentSchema } from '@coppice/contracts';
import { describe, expect, test } from 'vitest';
import { createMachine, initialTransition } from 'xstate';
import { newTask } from '../machines/task/new-task.ts';
import { taskMachine } from '../machines/task/task-machine.ts';
import { taskSetup } from '../machines/task/task-setup.ts';
import { taskInput } from '../test-support/task-input.ts';
import type { AgentKind } from './agent-kind.ts';
import { agentKinds, agentStates, newAgentFields } from './registry.ts';

const loop = agentSchema.parse({ kind: 'loop' });
const prompt = agentSchema.parse({ kind: 'prompt', file: 'a.txt' });

test('the task machine has exactly the kinds that a run file may name', () => {
  expect(Object.keys(agentKinds).toSorted()).toEqual(agentKindNames.toSorted());
  const working = taskMachine.root.states['working'];
  expect(Object.keys(working?.states ?? {}).toSorted()).toEqual(['choosing', ...agentKindNames].toSorted());
});

test('every kind leaves `working` only for `committing` or `cleaning`', () => {
  const working = taskMachine.root.states['working'];
  for (const kind of agentKindNames) {
    const node = working?.states[kind];
    if (node === undefined) throw new Error(`no state of ${kind}`);
    const nodes = [node];
    const outside = new Set<string>();
    for (const each of nodes) {
      nodes.push(...Object.values(each.states));
      for (const { target = [] } of [...[...each.transitions.values()].flat(), ...(each.always ?? [])])
        for (const { id } of target) if (!id.startsWith(node.id)) outside.add(id);
    }
    expect([...outside].toSorted()).toEqual(['task.cleaning', 'task.committing']);
  }
});

describe('a new task', () => {
  test('has the fields of all kinds, but state only for its own kind', () => {
    expect(newAgentFields(loop)).toMatchObject({ content: null, unsaved: false, loop: { turns: 0, turnId: null } });
    expect(newAgentFields(prompt)).toMatchObject({ content: null, unsaved: false, loop: null });
  });

  test('shares no state with another task', () => {
    const [one, other] = [newTask(taskInput({ agent: loop }), 0), newTask(taskInput({ agent: loop }), 0)];
    expect(one.loop).toEqual(other.loop);
    expect(one.loop).not.toBe(other.loop);
  });
});

describe('a kind that is added to the registry', () => {
  const fake: AgentKind = { states: taskSetup.createStateConfig({}), newFields: () => ({}) };
  const working = createMachine({
    context: { specification: { agent: { kind: 'fake' } } },
    initial: 'choosing',
    states: agentStates({ first: fake, fake }) as never,
  });

  test('gets a state, and runs the tasks that name it', () => {
    expect(Object.keys(working.root.states)).toEqual(['choosing', 'first', 'fake']);
    expect(initialTransition(working)[0].value).toBe('fake');
  });

  test("doesn't run tasks of another kind", () => {
    const chosen = (kind: string) =>
      initialTransition(createMachine({ ...working.config, context: { specification: { agent: { kind } } } }))[0].value;
    expect(chosen('other')).toBe('choosing');
  });
});
