import { eventMatrix } from '@coppice/durable-actor';
import type { ActorDefinition } from '@coppice/durable-actor';
import { expect, test } from 'vitest';
import { landingActor, runActor, setupActor, taskActor } from './actors.ts';

/** Lists how each state handles each event. The stored snapshot makes each change visible in a review. */
const table = (actor: ActorDefinition): string =>
  eventMatrix(actor)
    .map(({ state, event, does }) => `${state} · ${event}: ${does}`)
    .join('\n');

test.each([
  ['run', runActor],
  ['task', taskActor],
  ['landing', landingActor],
  ['setup', setupActor],
] as const)('what a %s does with every event in every state', (_name, actor) => {
  expect(table(actor)).toMatchSnapshot();
});
