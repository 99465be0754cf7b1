import type { AnyStateNode } from 'xstate';
import type { ActorDefinition } from './definition.ts';
import { stateNodes } from './inspect-machine.ts';

/**
 * How a state treats an event. `otherwise` applies if the state has transitions for the event but every guard rejects
 * it.
 */
export type MatrixEntry = {
  /** Path of an innermost state that isn't final, joined by dots. */
  state: string;
  event: string;
  does: 'handle' | 'refuse' | 'defer';
  otherwise: 'refuse' | 'defer';
};

type StateMeta = { events?: Record<string, 'refuse' | 'defer' | { refuse: string }> };

/** Lists how every innermost state treats every event from outside (invariant 7). */
export function eventMatrix(definition: ActorDefinition): MatrixEntry[] {
  const innermost = stateNodes(definition.machine).filter((node) => node.type === 'atomic');
  return innermost.flatMap((node) =>
    Object.entries(definition.events).map(([event, policy]) => {
      const lineage = lineageOf(node);
      const handled = lineage.some((each) => each.transitions.has(event));
      const own = lineage
        .map((each) => (each.meta as StateMeta | undefined)?.events?.[event])
        .find((each) => each !== undefined);
      const otherwise = own === undefined ? policy.otherwise : own === 'defer' ? 'defer' : 'refuse';
      return { state: node.path.join('.'), event, does: handled ? 'handle' : otherwise, otherwise };
    }),
  );
}

/** Returns the node and its ancestors, innermost first. */
function lineageOf(node: AnyStateNode): AnyStateNode[] {
  return node.parent === undefined ? [node] : [node, ...lineageOf(node.parent as AnyStateNode)];
}
