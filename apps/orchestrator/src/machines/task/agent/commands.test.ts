import { expect, test } from 'vitest';
import { taskInput } from '../../../test-support/task-input.ts';
import { newTask } from '../new-task.ts';
import { commit } from './commands.ts';

const coAuthorOf = (model: string): string | undefined =>
  commit(newTask(taskInput({ model }), 0)).message.coAuthor ?? undefined;

test.each([
  ['openai/gpt-5', 'openai/gpt-5'],
  ['router/acme/large', 'router/acme/large'],
  // No folder of the machine.
  ['scripted//srv/project/plan.yaml', 'scripted/plan.yaml'],
  // Nothing that a reader of trailers takes for somebody's address, or for another trailer.
  ['openai/Linus <linus@example.org>', 'openai/Linus linus@example.org'],
  ['openai/x> <y@example.org', 'openai/x y@example.org'],
  ['openai/x\nSigned-off-by: y', 'openai/xSigned-off-by: y'],
])('model %j is shown as a co-author without forging one', (model, name) => {
  expect(coAuthorOf(model)).toBe(`${name} <noreply@coppice.invalid>`);
});
