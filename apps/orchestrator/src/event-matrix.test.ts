import { eventMatrix } from '@coppice/durable-actor';
import type { ActorDefinition } from '@coppice/durable-actor';
import { expect, test } from 'vitest';
import { landingActor, runActor, setupActor, taskActor } from './actors.ts';

/** The table of every event in every state: handled, rejected with a message, or deferred. The snapshot shows each change for review. */
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
