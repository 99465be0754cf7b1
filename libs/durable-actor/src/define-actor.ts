import { tokenSchema } from '@coppice/contracts';
import { createMachine } from 'xstate';
import type { AnyStateMachine } from 'xstate';
import type { ActorDefinition, ActorOptions } from './definition.ts';
import { UnsupportedMachine } from './errors.ts';
import { actorLimits } from './limits.ts';
import { emits, hashOf, invocations, namedEvents, policiesInMeta, problemsOf } from './inspect-machine.ts';

/**
 * Checks that a machine can be made durable, and returns the actor's definition.
 * @throws UnsupportedMachine with all problems in its message
 */
export function defineActor<Machine extends AnyStateMachine>(options: ActorOptions<Machine>): ActorDefinition {
  const { kind, machine } = options;
  const sources = options.sources ?? {};
  const actions = options.actions ?? {};
  const problems = problemsOf(machine, new Set(Object.keys(actions)), new Set(Object.keys(sources)));
  if (!tokenSchema.safeParse(kind).success) problems.push(`kind ${kind} is not one token`);
  if (!Number.isInteger(options.version) || options.version < 1) problems.push('version is not a whole number from 1');
  problems.push(...problemsOfEvents(options));
  if (options.emitted === undefined && emits(machine)) problems.push('the machine emits, but emitted is not given');
  if (problems.length > 0) throw new UnsupportedMachine(kind, problems);
  return {
    kind,
    version: options.version,
    hash: hashOf(machine),
    machine: bounded(machine),
    invocations: invocations(machine),
    sources,
    actions,
    events: options.events,
    emitted: (options.emitted as ActorDefinition['emitted'] | undefined) ?? null,
    spans: (options.spans as ActorDefinition['spans'] | undefined) ?? null,
    summary: (options.summary as ActorDefinition['summary'] | undefined) ?? null,
    reportedState: (options.reportedState as ActorDefinition['reportedState'] | undefined) ?? null,
    migrations: options.migrations ?? {},
  };
}

function bounded(machine: AnyStateMachine): AnyStateMachine {
  const options = { maxIterations: actorLimits.microstepsMax, ...machine.config.options };
  return createMachine({ ...machine.config, options }).provide(machine.implementations as never) as AnyStateMachine;
}

/** Invariant 7: every event is declared, and some state handles it. Any mismatch is most likely a typo. */
function problemsOfEvents<Machine extends AnyStateMachine>(options: ActorOptions<Machine>): string[] {
  const problems: string[] = [];
  const named = namedEvents(options.machine);
  const internal = new Set(options.internalEvents ?? []);
  for (const type of Object.keys(options.events)) {
    if (type.startsWith('xstate.')) problems.push(`event ${type} has a reserved name`);
    if (internal.has(type)) problems.push(`event ${type} is declared both as internal and as coming from outside`);
    if (!named.has(type) && !named.has('*')) problems.push(`event ${type} is handled in no state`);
  }
  for (const type of policiesInMeta(options.machine)) {
    if (!(type in options.events)) problems.push(`a state's meta names event ${type}, which is not declared`);
  }
  for (const type of named) {
    if (type.includes('*')) problems.push(`a state handles ${type}: name the events`);
    else if (!internal.has(type) && !(type in options.events))
      problems.push(`event ${type} is handled but not declared`);
  }
  return problems;
}
