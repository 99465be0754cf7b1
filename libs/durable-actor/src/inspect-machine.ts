import { createHash } from 'node:crypto';
import type { AnyStateMachine, AnyStateNode } from 'xstate';
import { isEffect } from './sources.ts';

/**
 * Finds parts of a machine that can't be made durable, and computes the hash of its structure.
 *
 * Invariant 2: a machine may use only these features:
 * - named actions with parameters
 * - `invoke` of named sources, with `onError`
 * - `after` and delayed `raise`
 * - delayed `sendTo` to the actor itself
 * - `cancel`, `stopChild` and `emit`
 * - `assign`, `enqueueActions` and `raise` without delay, which XState computes inside the pure transition
 *
 * This file rejects any other feature that is visible in the structure. The rest is rejected before a value is stored.
 */

type Action = { type: string } | string | (((...args: never[]) => unknown) & { type?: string; resolve?: unknown });
type Transition = {
  eventType: string;
  target?: readonly AnyStateNode[] | undefined;
  actions: readonly unknown[];
  guard?: unknown;
};

/** Built-in actions of XState that a machine may use. */
const mappedBuiltIns = new Set([
  'xstate.assign',
  'xstate.raise',
  'xstate.cancel',
  'xstate.stopChild',
  'xstate.emit',
  'xstate.enqueueActions',
  'xstate.sendTo',
]);

export function stateNodes(machine: AnyStateMachine): AnyStateNode[] {
  const found: AnyStateNode[] = [];
  const walk = (node: AnyStateNode) => {
    found.push(node);
    for (const child of Object.values(node.states) as AnyStateNode[]) walk(child);
  };
  walk(machine.root as AnyStateNode);
  return found;
}

function transitionsOf(node: AnyStateNode): Transition[] {
  const all: Transition[] = [];
  for (const list of node.transitions.values()) all.push(...(list as unknown as Transition[]));
  for (const transition of node.always ?? []) all.push(transition);
  return all;
}

export function namedEvents(machine: AnyStateMachine): Set<string> {
  const types = new Set<string>();
  for (const node of stateNodes(machine)) {
    for (const transition of transitionsOf(node)) {
      if (transition.eventType !== '' && !transition.eventType.startsWith('xstate.')) types.add(transition.eventType);
    }
  }
  return types;
}

function actionsOf(node: AnyStateNode): Action[] {
  const ofInitial = node.type === 'compound' ? node.initial.actions : [];
  const ofTransitions = transitionsOf(node).flatMap((transition) => transition.actions);
  return [...node.entry, ...node.exit, ...ofInitial, ...ofTransitions] as Action[];
}

/** Returns true if the machine visibly emits events. An `emit` inside `enqueueActions` isn't visible before it runs. */
export function emits(machine: AnyStateMachine): boolean {
  const named = Object.values(machine.implementations.actions) as unknown[];
  const all = [...named, ...stateNodes(machine).flatMap(actionsOf)];
  return all.some((action) => isBuiltIn(action) && action.type === 'xstate.emit');
}

export function policiesInMeta(machine: AnyStateMachine): Set<string> {
  const metas = stateNodes(machine).map((node) => node.meta as { events?: Record<string, unknown> } | undefined);
  return new Set(metas.flatMap((meta) => Object.keys(meta?.events ?? {})));
}

/** Returns the names of the invoked sources by child id. */
export function invocations(machine: AnyStateMachine): Map<string, Set<string>> {
  const byId = new Map<string, Set<string>>();
  for (const node of stateNodes(machine)) {
    for (const invoke of node.invoke) {
      const sources = byId.get(invoke.id) ?? new Set<string>();
      if (typeof invoke.src === 'string') sources.add(invoke.src);
      byId.set(invoke.id, sources);
    }
  }
  return byId;
}

export function problemsOf(
  machine: AnyStateMachine,
  ordering: ReadonlySet<string>,
  sources: ReadonlySet<string>,
): string[] {
  const problems: string[] = [];
  const implementations = machine.implementations as unknown as Record<'actions' | 'actors', Record<string, unknown>>;
  for (const [name, logic] of Object.entries(implementations.actors)) {
    if (!isEffect(logic))
      problems.push(`actor logic ${name} is not an effect() (child machines and running logic are not durable)`);
    if (!sources.has(name)) problems.push(`source ${name} is not mapped`);
  }
  for (const [name, action] of Object.entries(implementations.actions)) {
    if (isBuiltIn(action)) problems.push(...problemsOfBuiltIn(`action ${name}`, action));
    else if (!ordering.has(name)) problems.push(`action ${name} is neither mapped nor one of XState's own`);
  }
  for (const node of stateNodes(machine))
    problems.push(...problemsOfNode(node, implementations.actions, ordering, sources));
  return [...new Set(problems)];
}

function problemsOfNode(
  node: AnyStateNode,
  actions: Record<string, unknown>,
  ordering: ReadonlySet<string>,
  sources: ReadonlySet<string>,
): string[] {
  const problems: string[] = [];
  const sure = transitionsOf(node).filter((transition) => transition.guard === undefined);
  const handled = new Set(sure.map((transition) => transition.eventType));
  const configured = [node.config.invoke ?? []].flat() as {
    id?: string;
    src: unknown;
    systemId?: string;
    onSnapshot?: unknown;
  }[];
  for (const invoke of configured) {
    const where = `invoke ${invoke.id ?? '?'} in ${node.id}`;
    if (invoke.id === undefined) problems.push(`an invoke in ${node.id} has no id`);
    if (typeof invoke.src !== 'string') problems.push(`${where} has an inline source`);
    else if (!sources.has(invoke.src)) problems.push(`${where}: source ${invoke.src} is not mapped`);
    if (!handled.has(`xstate.error.actor.${invoke.id}`)) problems.push(`${where} has no onError without a guard`);
    if (invoke.systemId !== undefined || invoke.onSnapshot !== undefined)
      problems.push(`${where} uses systemId or onSnapshot`);
  }
  for (const action of actionsOf(node)) {
    if (isBuiltIn(action)) problems.push(...problemsOfBuiltIn(`an action of ${node.id}`, action));
    else if (typeof action === 'function') problems.push(`an action of ${node.id} is an inline function`);
    else {
      const name = typeof action === 'string' ? action : action.type;
      if (!ordering.has(name) && !isBuiltIn(actions[name])) problems.push(`action ${name} of ${node.id} is not mapped`);
    }
  }
  return problems;
}

function isBuiltIn(action: unknown): action is { type: string; delay?: unknown } {
  return typeof action === 'function' && 'resolve' in action && 'type' in action;
}

function problemsOfBuiltIn(where: string, action: { type: string; delay?: unknown }): string[] {
  if (!mappedBuiltIns.has(action.type)) return [`${where} is ${action.type}, which is not durable`];
  if (action.type === 'xstate.sendTo' && action.delay === undefined)
    return [`${where} is sendTo without delay: use raise, or a mapped send`];
  return [];
}

export function hashOf(machine: AnyStateMachine): string {
  const structure = stateNodes(machine).map((node) => ({
    id: node.id,
    type: node.type,
    history: node.history,
    initial: node.type === 'compound' ? (node.initial.target ?? []).map((target: AnyStateNode) => target.id) : [],
    invoke: node.invoke.map((invoke) => [invoke.id, typeof invoke.src === 'string' ? invoke.src : '?']),
    transitions: transitionsOf(node).map((transition) => [
      transition.eventType,
      (transition.target ?? []).map((target) => target.id),
    ]),
  }));
  return createHash('sha256').update(JSON.stringify(structure)).digest('hex').slice(0, 16);
}
