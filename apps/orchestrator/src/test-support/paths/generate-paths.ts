import { isEffectFailed } from '@coppice/durable-actor';
import type { ActorDefinition } from '@coppice/durable-actor';
import type { Outcome } from '@coppice/contracts';
import { getNextTransitions, initialTransition } from 'xstate';
import type { AnyMachineSnapshot, EventObject } from 'xstate';
import { getShortestPaths } from 'xstate/graph';

/** A way to start a machine, with the results and events that it may get. */
export type PathCase = {
  name: string;
  actor: ActorDefinition;
  id: (suffix: string) => string;
  input: (suffix: string) => unknown;
  /** Possible results of each effect, by the machine's name for the invocation. Every effect may also fail. */
  outcomes: Readonly<Record<string, readonly unknown[]>>;
  /** Events that aren't results of effects. */
  outside: readonly EventObject[];
  /** Returns the part of a context that distinguishes two situations in the same state. */
  situation: (context: never) => unknown;
  /** Returns false for an event that needs no path of its own. */
  isWorthwhile?: (snapshot: AnyMachineSnapshot, event: EventObject) => boolean;
};

/**
 * A sequence of events, and the machine's state after each of them. The path begins with the creation of the actor or
 * with a stored value.
 */
export type MachinePath = {
  case: PathCase;
  events: EventObject[];
  states: unknown[];
  stored?: Record<string, unknown>;
};

/**
 * The time in all replays, so that timers and dates are the same in each of them. It is in the far future, so that no
 * timer of the real server fires.
 */
export const pathTimeMs = Date.UTC(2100, 0, 1);

/**
 * Maximum number of search steps. If `situation` is wrong, for example because it contains an endless counter, the
 * search fails instead of running forever.
 */
const traversalsMax = 20_000;

const failures: readonly Extract<Outcome, { status: 'failed' }>['error'][] = [
  { code: 'unavailable', message: 'may pass', retryable: true },
  { code: 'unknown', message: 'executor lost', retryable: false },
  { code: 'invalid-request', message: 'stays wrong', retryable: false },
];

const done = 'xstate.done.actor.';
const failed = 'xstate.error.actor.';
const timed = <Event extends EventObject>(event: Event) => ({ ...event, now: pathTimeMs });

/**
 * Returns the events that may come next. These are the results and failures of the effects in flight, timers, and
 * events from outside that the state handles.
 */
export function nextEvents(path: PathCase, snapshot: AnyMachineSnapshot): EventObject[] {
  const types = [...new Set(getNextTransitions(snapshot).map(({ eventType }) => eventType))];
  return types
    .flatMap((type): EventObject[] => {
      if (type.startsWith(done)) return resultsOf(path, type.slice(done.length)).map((output) => ({ type, output }));
      if (type.startsWith(failed)) {
        const actorId = type.slice(failed.length);
        return failures.map((error) => ({ type, error, actorId, effectId: `${actorId}-lost` }));
      }
      if (type.startsWith('xstate.after.')) return [{ type }];
      return path.outside.filter((event) => event.type === type);
    })
    .map(timed)
    .filter((event) => path.isWorthwhile?.(snapshot, event) ?? true);
}

function resultsOf({ name, outcomes }: PathCase, invocation: string): readonly unknown[] {
  const results = outcomes[invocation];
  if (results === undefined) throw new Error(`${name}: no results are given for ${invocation}`);
  return results;
}

/**
 * Returns shortest paths that together take every transition at least once. A transition is an event with one of its
 * results, in a state whose situation allows the event. A path that is the beginning of another path is left out.
 */
export function pathsOf(path: PathCase): MachinePath[] {
  const situationOf = ({ value, context }: AnyMachineSnapshot) =>
    JSON.stringify([value, path.situation(context as never)]);
  const { machine, kind } = path.actor;
  const birth = { kind, id: path.id('0'), now: pathTimeMs, input: path.input('0') };
  const found = getShortestPaths(machine, {
    input: birth,
    fromState: initialTransition(machine, birth)[0],
    limit: traversalsMax,
    events: (snapshot: AnyMachineSnapshot) => (snapshot.status === 'active' ? nextEvents(path, snapshot) : []),
    // The key includes the event, so that each transition gets a path and not only each situation.
    serializeState: (snapshot: AnyMachineSnapshot, event: EventObject | undefined, before?: AnyMachineSnapshot) =>
      event === undefined || before === undefined
        ? situationOf(snapshot)
        : `${situationOf(before)} ${JSON.stringify(event)} ${situationOf(snapshot)}`,
  });
  const taken = new Set<string>();
  const chosen: MachinePath[] = [];
  for (const { steps } of found.toSorted((left, right) => left.steps.length - right.steps.length)) {
    const states = steps.map(({ state }) => state.value as unknown);
    const events = steps.slice(1).map(({ event }) => event);
    const transitions = events.map((event, index) => JSON.stringify([states[index], event, states[index + 1]]));
    if (transitions.every((transition) => taken.has(transition))) continue;
    for (const transition of transitions) taken.add(transition);
    chosen.push({ case: path, events, states });
  }
  const texts = chosen.map(({ events }) => events.map((event) => JSON.stringify(event)).join('\n'));
  return chosen.filter((_, index) => !texts.some((other) => other.startsWith(`${texts[index]}\n`)));
}

/** Describes a path for the message of a failed test. */
export const textOf = ({ case: { name }, events }: MachinePath): string =>
  `${name}: ${events.map((event) => (isEffectFailed(event) ? `${event.actorId} ${event.error.code}` : event.type)).join(' → ')}`;
