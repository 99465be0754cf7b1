import { expect, test } from 'vitest';
import type { TaskContext } from './task-context.ts';
import { commit } from './task-orders.ts';

/** As much of a task as its commit message is made from. */
function coAuthorOf(model: string): string | undefined {
  const specification = { commit: { type: 'feat', scope: null }, description: 'Do it', model, protect: [] };
  const context = { owner: {}, repository: '/r', summary: null, enteredAtMs: 0, specification };
  return commit(context as unknown as TaskContext).message.coAuthor ?? undefined;
}

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
