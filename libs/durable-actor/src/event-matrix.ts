import type { AnyStateNode } from 'xstate';
import type { ActorDefinition } from './definition.ts';
import { stateNodes } from './inspect-machine.ts';

/** How a state treats an event. If the treatment is `handle` and every guard rejects the event, `otherwise` applies. */
export type MatrixEntry = {
  /** Path of an innermost state that isn't final: the names of the states, joined by dots. */
  state: string;
  event: string;
  does: 'handle' | 'refuse' | 'defer';
  otherwise: 'refuse' | 'defer';
};

type StateMeta = { events?: Record<string, 'refuse' | 'defer' | { refuse: string }> };

/** Returns a table for invariant 7: the treatment of every event from outside in every state. */
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

/** The node and its ancestors, innermost first. */
function lineageOf(node: AnyStateNode): AnyStateNode[] {
  return node.parent === undefined ? [node] : [node, ...lineageOf(node.parent as AnyStateNode)];
}
