import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { getShortestPaths } from 'xstate/graph';
import type { AnyMachineSnapshot, EventObject } from 'xstate';
import { nextEvents, pathsOf } from './generate-paths.ts';
import type { MachinePath, PathCase } from './generate-paths.ts';
import { landingCase, runCase, setupCase } from './small-cases.ts';
import { taskCases } from './task-cases.ts';

/**
 * Folder of the actors' values as each released version of their machines stored them, one for each state.
 * `test-programs/store-snapshots.ts` writes one file for a new version. The file stays as long as actors of that
 * version may be stored.
 */
export const snapshotFolder = path.join(import.meta.dirname, '../../__fixtures__/stored-snapshots');

/**
 * `case` is the name of the path case that made the value and can continue it. The random part of the ids in `value` is
 * replaced.
 */
export type StoredSnapshot = { case: string; state: unknown; value: Record<string, unknown> };
export type SnapshotFile = { kind: string; version: number; hash: string; snapshots: StoredSnapshot[] };

export const pathCases: readonly PathCase[] = [runCase, landingCase, setupCase, ...taskCases];

export const snapshotFileName = ({ kind, version }: { kind: string; version: number }): string =>
  `${kind}-${version}.json`;

export async function readSnapshotFiles(): Promise<SnapshotFile[]> {
  const names = (await readdir(snapshotFolder)).toSorted();
  const texts = names.map((name) => readFile(path.join(snapshotFolder, name), 'utf8'));
  return (await Promise.all(texts)).map((text) => JSON.parse(text) as SnapshotFile);
}

/** Returns the shortest path to each state of the machine before its end, by the state's JSON. */
export function pathsToStates(cases: readonly PathCase[]): Map<string, MachinePath> {
  const shortest = new Map<string, MachinePath>();
  for (const whole of cases.flatMap(pathsOf)) {
    for (const [length, state] of whole.states.entries()) {
      const key = JSON.stringify(state);
      if (state === 'ended' || (shortest.get(key)?.events.length ?? Number.POSITIVE_INFINITY) <= length) continue;
      const { events, states } = whole;
      shortest.set(key, { case: whole.case, events: events.slice(0, length), states: states.slice(0, length + 1) });
    }
  }
  return shortest;
}

/** States in which an actor of many runs waits for requests. Such an actor never ends. */
const restingStates: readonly unknown[] = ['free', 'idle', 'sealed'];
const isAtRest = ({ status, value }: AnyMachineSnapshot): boolean => status === 'done' || restingStates.includes(value);

/** Returns the shortest path from a stored value to an end. */
export function pathToEnd(of: PathCase, { value }: StoredSnapshot): MachinePath {
  const { machine } = of.actor;
  const { value: state, context } = value['snapshot'] as { value: never; context: never };
  const fromState = machine.resolveState({ value: state, context }) as AnyMachineSnapshot;
  const [found] = getShortestPaths(machine, {
    fromState,
    limit: 20_000,
    events: (snapshot: AnyMachineSnapshot) => (snapshot.status === 'active' ? nextEvents(of, snapshot) : []),
    serializeState: (snapshot: AnyMachineSnapshot) =>
      JSON.stringify([snapshot.value, of.situation(snapshot.context as never)]),
    toState: isAtRest,
  });
  if (found === undefined) throw new Error(`${of.name}: no way from ${JSON.stringify(state)} to an end`);
  const events: EventObject[] = found.steps.slice(1).map(({ event }) => event);
  return { case: of, events, states: found.steps.map((step) => step.state.value), stored: value };
}
