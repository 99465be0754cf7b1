import { beforeAll, describe, expect, test } from 'vitest';
import { landingActor, runActor, setupActor, taskActor } from './actors.ts';
import { Replay } from './test-support/paths/replay-paths.ts';
import { pathCases, pathToEnd, pathsToStates, readSnapshotFiles } from './test-support/paths/stored-snapshots.ts';
import type { SnapshotFile } from './test-support/paths/stored-snapshots.ts';

const actors = [runActor, taskActor, landingActor, setupActor];
let files: SnapshotFile[];
beforeAll(async () => {
  files = await readSnapshotFiles();
});

describe.each(actors.map((actor) => [actor.kind, actor] as const))('stored values of a %s', (kind, actor) => {
  test('exist for every state of the current version; if not, raise its version and run store-snapshots.ts', () => {
    const present = files.find((file) => file.kind === kind && file.version === actor.version);
    expect(present?.hash).toBe(actor.hash);
    const states = [...pathsToStates(pathCases.filter((each) => each.actor === actor)).keys()];
    expect(present?.snapshots.map(({ state }) => JSON.stringify(state)).toSorted()).toEqual(states.toSorted());
  });

  test('of every version are continued to an end by the current machine', async () => {
    const snapshots = files.filter((file) => file.kind === kind).flatMap((file) => file.snapshots);
    const paths = snapshots.map((snapshot) => {
      const of = pathCases.find(({ name }) => name === snapshot.case);
      if (of === undefined) throw new Error(`no case is named ${snapshot.case}`);
      return pathToEnd(of, snapshot);
    });
    await using replay = await Replay.start(paths);
    await replay.uninterrupted();
    const ends = (await replay.values()).map(({ state }) => state);
    expect(ends).toEqual(paths.map(({ states }) => states.at(-1)));
    expect(ends.length).toBeGreaterThan(1);
  });
});

test('a task of version 1, whose states are the same, is continued to an end', async () => {
  const snapshots = files.find(({ kind }) => kind === 'task')?.snapshots ?? [];
  const paths = snapshots.map((snapshot) => {
    const of = pathCases.find(({ name }) => name === snapshot.case);
    if (of === undefined) throw new Error(`no case is named ${snapshot.case}`);
    const value = { ...snapshot.value, machine: { version: 1, hash: 'an earlier one' } };
    return pathToEnd(of, { ...snapshot, value });
  });
  await using replay = await Replay.start(paths);
  await replay.uninterrupted();
  expect((await replay.values()).map(({ state }) => state)).toEqual(paths.map(() => 'ended'));
});
