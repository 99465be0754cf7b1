import { afterAll, expect, test } from 'vitest';
import { Replay } from './test-support/paths/replay-paths.ts';
import { pathsOf, textOf } from './test-support/paths/generate-paths.ts';
import type { PathCase } from './test-support/paths/generate-paths.ts';
import { landingCase, runCase, setupCase } from './test-support/paths/small-cases.ts';
import { taskCases } from './test-support/paths/task-cases.ts';

/**
 * Tests every transition of the four machines with the real engine. `pathsOf` generates the paths. Each path is
 * replayed twice, with an engine that isn't interrupted and with an engine that is killed after every step. Both must
 * leave the same values, messages, timers and claims.
 */
const counted: string[] = [];
afterAll(() => console.log(counted.join('\n')));

/**
 * Alternates between two crash points. One is before any message of the new state is published. The other is after all
 * are published, but before the acknowledgement.
 */
const pointOf = (round: number) => (round % 2 === 0 ? 'state-stored' : 'outbox-published');

test.each<[string, readonly PathCase[]]>([
  ['run', [runCase]],
  ['landing', [landingCase]],
  ['setup', [setupCase]],
  ['task', taskCases],
])('the %s machine ends the same on every path, even if its engine is killed after every step', async (name, cases) => {
  const paths = cases.flatMap(pathsOf);
  await using living = await Replay.start(paths);
  await using dying = await Replay.start(paths);
  const expected = await living.uninterrupted();
  const { remains, crashes } = await dying.interrupted(pointOf);
  counted.push(`${name}: ${paths.length} paths, ${crashes} crash points`);

  const ends = (await dying.values()).map(({ state }, index) => [textOf(paths[index] as never), state]);
  expect(ends).toEqual(paths.map((path) => [textOf(path), path.states.at(-1)]));
  expect(remains.values).toEqual(expected.values);
  expect(remains.messages).toEqual(expected.messages);
  expect(remains.claims).toEqual(expected.claims);
});
