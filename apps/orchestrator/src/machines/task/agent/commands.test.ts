import { expect, test } from 'vitest';
import { taskInput } from '../../../test-support/task-input.ts';
import { newTask } from '../new-task.ts';
import { commit } from './commands.ts';

const coAuthorOf = (model: string): string | undefined =>
  commit(newTask(taskInput({ model }), 0)).message.coAuthor ?? undefined;

test.each([
  ['openai/gpt-5', 'openai/gpt-5'],
  ['router/acme/large', 'router/acme/large'],
  // A path of the host must not be in the commit message.
  ['scripted//srv/project/plan.yaml', 'scripted/plan.yaml'],
  // Nothing in the commit message may look like an address or another trailer to a parser.
  ['openai/Linus <linus@example.org>', 'openai/Linus linus@example.org'],
  ['openai/x> <y@example.org', 'openai/x y@example.org'],
  ['openai/x\nSigned-off-by: y', 'openai/xSigned-off-by: y'],
])('model %j is shown as a co-author without forging one', (model, name) => {
  expect(coAuthorOf(model)).toBe(`${name} <noreply@coppice.invalid>`);
});
