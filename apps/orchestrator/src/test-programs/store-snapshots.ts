import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { landingActor, runActor, setupActor, taskActor } from '../actors.ts';
import { Replay } from '../test-support/paths/replay-paths.ts';
import { pathCases, pathsToStates, snapshotFileName, snapshotFolder } from '../test-support/paths/stored-snapshots.ts';
import type { SnapshotFile } from '../test-support/paths/stored-snapshots.ts';

/**
 * Writes the stored values of the current machines, one for each state, as the real engine stores them. Files of
 * earlier versions aren't changed. Run it after the version of an actor was raised, with `node
 * apps/orchestrator/src/test-programs/store-snapshots.ts`.
 */
await mkdir(snapshotFolder, { recursive: true });
for (const { kind, version, hash } of [runActor, taskActor, landingActor, setupActor]) {
  const paths = [...pathsToStates(pathCases.filter(({ actor }) => actor.kind === kind)).values()];
  await using replay = await Replay.start(paths);
  const { values } = await replay.uninterrupted();
  const snapshots = Object.values(values).map((value, index) => {
    const stored = value as Record<string, unknown>;
    return { case: paths[index]?.case.name ?? '', state: stored['state'], value: stored };
  });
  const file: SnapshotFile = { kind, version, hash, snapshots };
  await writeFile(path.join(snapshotFolder, snapshotFileName(file)), `${JSON.stringify(file, null, 2)}\n`);
  console.log(`${snapshotFileName(file)}: ${snapshots.length} states`);
}
